"""The ses transport: so many requests at once as it has connections, transactional before bulk.

Each envelope is one request, and the write of its body can contain the end of the mail: `begin` comes right before it, on
a connection that stands. What fails before that write never happened; after it, without an answer, nobody knows.
"""

import asyncio
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Container, Mapping, Sequence
from typing import Any

import httpx2
import msgspec

from posthouse.mail.address import CONTROL
from posthouse.mail.errors import TransportAway
from posthouse.mail.message import LANES, Lane
from posthouse.mail.outcome import Outcome, not_begun, refused, transport_away, unknown
from posthouse.transport.base import Envelope, Use, bulk_share
from posthouse.transport.pace import Pacer
from posthouse.transport.ses.answers import denies, is_throttled, outcome_of, read
from posthouse.transport.ses.options import SesOptions
from posthouse.transport.ses.sign import Signer

SEND = "/v2/email/outbound-emails"
ACCOUNT = "/v2/email/account"
CONNECT, ANSWER = 10.0, 60.0
"""Seconds that a connection, and each step of a request on it, may take."""
LARGE = 256 << 10
"""Bytes above which a mail is encoded and signed on a thread, two at a time."""
PAUSE, MOST_PAUSE = 1.0, 30.0
"""Seconds without a request after SES said that it was too much; it doubles while SES says so."""

_BODY_STARTS = "http11.send_request_body.started"


class SesTransport:
    """Implements posthouse.transport.base.Transport. `pace` is who grants starts where the URL names a rate."""

    limit = CONNECT + 3 * ANSWER

    def __init__(self, options: SesOptions, pace: Pacer | None = None) -> None:
        self.name = options.name
        self.connections = options.connections
        self._options, self._pace = options, pace
        self._signer = Signer(options)
        self._signing = asyncio.Lock()
        self._large = asyncio.Semaphore(2)
        self._rows: dict[Lane, deque[Envelope]] = {lane: deque() for lane in LANES}
        self._in_air: dict[asyncio.Task[None], Lane] = {}
        self._later: asyncio.TimerHandle | None = None
        self._pause = self._not_before = 0.0
        self._client: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Reads the certificates; connects when there is mail."""
        self._client = httpx2.AsyncClient(
            base_url=self._options.endpoint,
            timeout=httpx2.Timeout(ANSWER, connect=CONNECT, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self.connections),
            verify=ssl.create_default_context(),
            trust_env=False,
        )

    async def stop(self) -> None:
        """Ends what is in the air at once and gives back what waits."""
        client, self._client = self._client, None
        if self._later is not None:
            self._later.cancel()
        for task in list(self._in_air):
            task.cancel()
        await asyncio.gather(*self._in_air, return_exceptions=True)
        self._give_back("the transport was stopped")
        if client is not None:
            await client.aclose()

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Takes them on, in order; returns at once."""
        for envelope in envelopes:
            self._rows[envelope.lane].append(envelope)
        if self._client is None:
            self._give_back("the transport is not running")
        else:
            self._dispatch()

    def recall(self, ids: Container[str] | None = None) -> None:
        """Gives back what no request has taken yet."""
        self._give_back("recalled before a request took it", ids)

    def use(self) -> Use:
        """A request that is under way stands for its connection."""
        waiting: dict[Lane, int] = {lane: len(row) for lane, row in self._rows.items()}
        return Use(len(self._in_air), len(self._in_air), waiting)

    async def probe(self) -> None:
        """Asks about the account; raises TransportAway when there is no answer, or none that lets us send."""
        if self._client is None:
            raise TransportAway("SES: the transport is not running")
        await self._ready()
        try:
            reply = await self._client.get(ACCOUNT, headers=self._signer.sign("GET", ACCOUNT, b""))
        except httpx2.HTTPError as error:
            raise TransportAway(f"SES: no answer: {type(error).__name__}") from None
        told = read(reply.status_code, reply.headers.get("x-amzn-errortype"), reply.content)
        if denies(told):
            raise TransportAway(f"SES: {told.kind or told.status}: {told.text}")

    # Whose turn it is.

    def _dispatch(self) -> None:
        while self._client is not None and self._later is None and len(self._in_air) < self.connections:
            lane = self._next()
            if lane is None:
                return
            if (wait := self._wait()) > 0:
                self._later = asyncio.get_running_loop().call_later(wait, self._resume)
                return
            envelope = self._rows[lane].popleft()
            task = asyncio.get_running_loop().create_task(self._carry(self._client, envelope))
            self._in_air[task] = lane
            task.add_done_callback(self._landed)

    def _next(self) -> Lane | None:
        if self._rows["transactional"]:
            return "transactional"
        bulk = sum(lane == "bulk" for lane in self._in_air.values())
        return "bulk" if self._rows["bulk"] and bulk < bulk_share(self.connections) else None

    def _landed(self, task: asyncio.Task[None]) -> None:
        del self._in_air[task]
        self._dispatch()

    def _wait(self) -> float:
        """Seconds before one more may start; 0 when it is granted."""
        now = _now()
        if now < self._not_before:
            return self._not_before - now
        return 0.0 if self._pace is None else self._pace.start(now)

    def _resume(self) -> None:
        self._later = None
        self._dispatch()

    def _give_back(self, text: str, ids: Container[str] | None = None) -> None:
        for row in self._rows.values():
            for _ in range(len(row)):
                envelope = row.popleft()
                if ids is None or envelope.id in ids:
                    envelope.done([not_begun(text)] * len(envelope.recipients))
                else:
                    row.append(envelope)

    # One request.

    async def _carry(self, client: httpx2.AsyncClient, envelope: Envelope) -> None:
        request = _Request(envelope)
        try:
            outcome = await self._ask(client, request)
        except asyncio.CancelledError:
            outcome = request.lost("the transport was stopped")
        except TransportAway as away:
            outcome = transport_away(away.text)
        except _LeaseOver:
            outcome = not_begun("the lease is over")
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            outcome = transport_away(f"SES: no connection: {type(error).__name__}")
        except httpx2.HTTPError as error:
            outcome = request.lost(f"SES: the link was lost: {type(error).__name__}")
        except Exception as error:
            outcome = request.lost(f"SES: an error of ours: {type(error).__name__}")
        request.done(outcome)

    async def _ask(self, client: httpx2.AsyncClient, request: "_Request") -> Outcome:
        if not request.recipients:
            return _UNSAYABLE
        await self._ready()
        body, headers = await self._written(request)
        asked = client.build_request("POST", SEND, content=body, headers=headers)
        asked.extensions["trace"] = request.trace
        reply = await client.send(asked)
        told = read(reply.status_code, reply.headers.get("x-amzn-errortype"), reply.content)
        self._heed(is_throttled(told))
        return outcome_of(told)

    async def _ready(self) -> None:
        if not self._signer.is_ready:
            async with self._signing:
                if not self._signer.is_ready:
                    await asyncio.to_thread(self._signer.ready)

    async def _written(self, request: "_Request") -> tuple[bytes, Mapping[str, str]]:
        if len(request.envelope.data) <= LARGE:
            return self._write(request)
        async with self._large:
            return await asyncio.to_thread(self._write, request)

    def _write(self, request: "_Request") -> tuple[bytes, Mapping[str, str]]:
        body = msgspec.json.encode(request.fields(self._options.configuration_set))
        return body, self._signer.sign("POST", SEND, body)

    def _heed(self, throttled: bool) -> None:
        """Waits longer each time that SES says it was too much."""
        now = _now()
        if not throttled:
            self._pause = 0.0
        elif now >= self._not_before:
            self._pause = min(max(PAUSE, self._pause * 2), MOST_PAUSE)
            self._not_before = now + self._pause


_UNSAYABLE = refused("the address cannot be said", "address")


class _LeaseOver(Exception):
    """The envelope's `begin` said no."""


class _Request:
    """An envelope on its way: whom it can be said to at all, and whether its body was begun."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.begun = False
        bad_sender = CONTROL.search(envelope.sender) is not None
        self._faults = [
            _UNSAYABLE if bad_sender or CONTROL.search(each) else None for each in envelope.recipients
        ]

    @property
    def recipients(self) -> list[str]:
        """Those that are asked for."""
        return [
            each for each, fault in zip(self.envelope.recipients, self._faults, strict=True) if fault is None
        ]

    def fields(self, configuration_set: str | None) -> dict[str, Any]:
        """SendEmail: the mail as it is; its recipients are the destination's alone, so a Bcc stays one."""
        fields: dict[str, Any] = {
            "Content": {"Raw": {"Data": b64encode(self.envelope.data).decode()}},
            "Destination": {"ToAddresses": self.recipients},
        }
        if self.envelope.sender:
            fields["FeedbackForwardingEmailAddress"] = self.envelope.sender
        if configuration_set is not None:
            fields["ConfigurationSetName"] = configuration_set
        return fields

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Hears each step of the request."""
        if event == _BODY_STARTS and not self.begun:
            if not self.envelope.begin(self._faults):
                raise _LeaseOver
            self.begun = True

    def lost(self, text: str) -> Outcome:
        """No answer: unknown, if it can have been read."""
        return unknown(text) if self.begun else not_begun(text, "network")

    def done(self, outcome: Outcome) -> None:
        """One answer for all that were asked for."""
        self.envelope.done([fault or outcome for fault in self._faults])


def _now() -> float:
    return asyncio.get_running_loop().time()
