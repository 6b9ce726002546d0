"""The smtp transport: a pool of connections to one relay, and what waits for them.

Connections are opened when mail waits and kept while it comes. While none stands only one is opened at a time, and
each failure to connect fails exactly one mail, so a dead relay costs no more than the breaker needs to see. While one
stands, a relay that will not take another fails nobody: the pool stays as wide as it is for a while.
A mail whose MAIL was never answered on a connection that had carried others goes back to the head of its row.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Container, Sequence

from posthouse.check import Check
from posthouse.mail.errors import TransportAway
from posthouse.mail.message import LANES, Lane
from posthouse.mail.outcome import not_begun, transport_away
from posthouse.transport.base import Envelope, Use, bulk_share
from posthouse.transport.pace import Pace, Pacer
from posthouse.transport.smtp.connection import Connection
from posthouse.transport.smtp.dial import Link, dial, tls_context
from posthouse.transport.smtp.examine import examine
from posthouse.transport.smtp.lanes import Lanes
from posthouse.transport.smtp.options import Limits, SmtpOptions, Timeouts
from posthouse.transport.smtp.protocol import Over
from posthouse.transport.smtp.resolver import LookUp, Resolver, look_up
from posthouse.transport.smtp.transaction import Transaction

TRIES = 2
"""Connections that may die on a mail before it is given back."""
WATCH = 1.0
"""Seconds between two looks at the deadlines, at most."""


class SmtpTransport:
    """Implements posthouse.transport.base.Transport. `context` replaces the TLS context that the options ask for, `pace`
    the rate that is this process's own, `look_up` the system's look-up of names."""

    def __init__(
        self,
        options: SmtpOptions,
        hostname: str,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        context: ssl.SSLContext | None = None,
        pace: Pacer | None = None,
        look_up: LookUp = look_up,
    ) -> None:
        self.name = options.name
        self.connections = options.connections
        self._options, self._hostname, self._context = options, hostname, context
        self._timeouts, self._limits = timeouts or Timeouts(), limits or Limits()
        self.limit = self._timeouts.attempt + self._timeouts.end
        self._resolver = Resolver(options.host, options.port, look_up)
        self._lanes = Lanes()
        self._pace = pace or (Pace(options.rate) if options.rate else None)
        self._live: set[Connection] = set()
        self._idle: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._dialing = 0
        self._bulk = 0
        self._most_bulk = bulk_share(options.connections)
        self._widen_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._running = False

    @property
    def waiting(self) -> dict[Lane, int]:
        """How many envelopes wait for a connection, in each lane."""
        return {lane: self._lanes.count(lane) for lane in LANES}

    @property
    def in_air(self) -> int:
        """How many envelopes connections have taken that are not done."""
        return sum(connection.in_air for connection in self._live)

    async def start(self) -> None:
        """Reads the certificates; connects when there is mail."""
        if self._context is None and self._options.tls != "none":
            self._context = tls_context(self._options.tls)
        self._loop = asyncio.get_running_loop()
        self._running = True

    async def stop(self) -> None:
        """Ends what is in the air at once and gives back what waits."""
        self._running = False
        for timer in (self._watch, self._later):
            if timer is not None:
                timer.cancel()
        self._watch = self._later = None
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in list(self._live):
            if connection.in_air:
                connection.close("the transport was stopped")
            else:
                self._retire(connection)
        self._give_back("the transport was stopped")

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Takes them on, in order; returns at once."""
        self._lanes.add(envelopes)
        if self._running:
            self._dispatch()
        else:
            self._give_back("the transport is not running")

    def recall(self, ids: Container[str] | None = None) -> None:
        """Gives back what no connection has taken yet."""
        self._give_back("recalled before a connection took it", ids)

    def use(self) -> Use:
        """The connections, what they carry and what waits for one."""
        return Use(len(self._live), self.in_air, self.waiting)

    async def probe(self) -> None:
        """Connects, greets (with TLS and login, where asked for) and quits; raises TransportAway."""
        link = await self._dial()
        link.quit()

    async def examine(self) -> list[Check]:
        """See posthouse.check: what is found on the way to a greeted link."""
        return await examine(self._options, self._resolver, self._hostname, self._context)

    def follow(self, connection: Connection) -> Transaction | None:
        """The next of the same lane, unless another connection could take it, or it would hold others up."""
        lane = connection.lane
        if lane is None or not self._lanes.behind(lane) or self._done_its_share(connection):
            return None
        if self._idle and (lane == "transactional" or self._bulk < self._most_bulk):
            return None
        return self._take(lane)

    def idle(self, connection: Connection) -> None:
        """A connection has nothing more to do: it rests, or leaves when it has done its share."""
        self._free(connection)
        if self._worn(connection):
            self._retire(connection)
        else:
            self._idle.append(connection)
        self._dispatch()

    def over(self, connection: Connection, over: Over) -> None:
        """A connection is gone: each of its mails is settled or tried on another."""
        self._forget(connection)
        for transaction in over.transactions:
            again = connection.given > 1 and transaction.tries < TRIES and self._running
            if transaction.phase == "asked" and again:
                transaction.tries += 1
                self._lanes.put_back(transaction)
                continue
            transaction.fill(over.unbegun)
            transaction.done()
        self._dispatch()

    def _dispatch(self) -> None:
        """Gives what waits to who is free, and widens the pool where that is not enough."""
        if not self._running:
            return
        while self._idle:
            lane = self._lanes.next(bulk=self._bulk < self._most_bulk)
            transaction = self._take(lane) if lane else None
            if transaction is None:
                break
            self._give(self._idle.pop(), transaction)
        self._widen()

    def _take(self, lane: Lane) -> Transaction | None:
        """The first of a lane; None while the rate forbids a start."""
        if self._pace is not None:
            wait = self._pace.start(self._loop.time())
            if wait:
                if self._later is None:
                    self._later = self._loop.call_later(wait, self._resume)
                return None
        return self._lanes.take(lane)

    def _resume(self) -> None:
        self._later = None
        self._dispatch()

    def _give(self, connection: Connection, transaction: Transaction) -> None:
        connection.lane = transaction.envelope.lane
        self._bulk += connection.lane == "bulk"
        if not connection.give(transaction):
            self._free(connection)
            self._idle.append(connection)
            transaction.done()

    def _free(self, connection: Connection) -> None:
        self._bulk -= connection.lane == "bulk"
        connection.lane = None

    def _forget(self, connection: Connection) -> None:
        self._free(connection)
        self._live.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _retire(self, connection: Connection) -> None:
        self._forget(connection)
        connection.quit()

    def _worn(self, connection: Connection) -> bool:
        return self._done_its_share(connection) or self._loop.time() - connection.born > self._limits.age

    def _done_its_share(self, connection: Connection) -> bool:
        return connection.given >= self._limits.messages or connection.spent

    def _widen(self) -> None:
        for _ in range(self._wanted()):
            task = self._loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
            self._dialing += 1

    def _wanted(self) -> int:
        """How many more connections to open now."""
        opening, live = self._dialing, len(self._live)
        bulk = min(self._lanes.count("bulk"), self._most_bulk - self._bulk)
        wanted = min(self._lanes.count("transactional") + bulk, self.connections - live) - opening
        if live == 0:
            return 1 if wanted > 0 and not opening else 0
        # While the rate holds mail back, more connections would only stand idle.
        return 0 if self._later is not None or self._loop.time() < self._widen_at else max(wanted, 0)

    def _dial(self) -> Awaitable[Link]:
        return dial(self._options, self._resolver, self._hostname, self._timeouts, self._context)

    async def _open(self) -> None:
        link, away = None, TransportAway("")
        try:
            link = await self._dial()
        except TransportAway as error:
            away = error
        except Exception as error:
            away = TransportAway(f"no connection: {type(error).__name__}")
        finally:
            self._dialing -= 1
        if link is None:
            self._refused(away)
        else:
            self._opened(link)
        self._dispatch()

    def _opened(self, link: Link) -> None:
        if not self._running:
            link.quit()
            return
        connection = Connection(link, self, self._timeouts)
        self._live.add(connection)
        self._idle.append(connection)
        if self._watch is None:
            self._watch_later()

    def _refused(self, away: TransportAway) -> None:
        """The relay took no connection: one mail pays for it, or nobody while another connection stands."""
        if self._live:
            self._widen_at = self._loop.time() + self._limits.widen
            return
        lane = self._lanes.next(bulk=True)
        if lane is not None:
            transaction = self._lanes.take(lane)
            outcome = transport_away(away.text, away.code, away.enhanced)
            transaction.envelope.done([outcome] * len(transaction.envelope.recipients))

    def _give_back(self, text: str, ids: Container[str] | None = None) -> None:
        for transaction in self._lanes.clear(ids):
            outcome = not_begun(text)
            transaction.envelope.done([outcome] * len(transaction.envelope.recipients))

    def _watch_later(self) -> None:
        times = self._timeouts
        shortest = min(times.mail, times.rcpt, times.data, times.block, times.end, self._limits.idle)
        self._watch = self._loop.call_later(min(WATCH, shortest / 4), self._look)

    def _look(self) -> None:
        """Closes what is overdue, and what has rested or lived too long."""
        self._watch = None
        now = self._loop.time()
        for connection in list(self._live):
            rested = connection.look(now)
            if connection in self._idle and (rested > self._limits.idle or self._worn(connection)):
                self._retire(connection)
        if self._live and self._watch is None:
            self._watch_later()
