"""The connection to Elasticsearch: requests that are tried again while the server restarts or says that it is full, and
given up within PATIENCE.

Rules: every request may be made twice. Writes are creations or name the version they replace, so the second time they
are a conflict, and whoever gets one reads again: what it wanted to write may stand there. Each item of a bulk has its own
result, and each is looked at. A search that not all shards answered is no answer. A call may be made from any event loop: one
that is not the store's gets a client of its own.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import elastic_transport
import elasticsearch as untyped
import msgspec

from posthouse.mail.errors import StoreAway
from posthouse.store.elasticsearch.address import Address
from posthouse.store.elasticsearch.clock import Clock

elasticsearch: Any = untyped

PATIENCE = 4.5
"""Seconds after which a store that does not answer is away."""
HURRY = 2.0
"""The same beside a server that has been away for PATIENCE."""
PAUSE_FIRST, PAUSE_MOST = 0.05, 0.5
"""Seconds between two tries."""
BULK = 8 << 20
"""Bytes of a bulk, about; a larger item goes alone."""

BUSY = (429, 502, 503, 504)
"""Statuses of a server that is full, or whose shards are not there yet."""
CONFLICT = 409
_JSON = {"content-type": "application/json", "accept": "application/json"}
_LINES = {"content-type": "application/x-ndjson", "accept": "application/json"}

P = ParamSpec("P")
T = TypeVar("T")


class Refused(Exception):
    """Elasticsearch does not take what it was given: a bug, or a server that is not set up for us."""


class Away(Exception):
    """The server's trouble, in words safe to show: trying again can help."""


class Item(NamedTuple):
    """One write of a bulk: what is done (create, index, update, delete), in which index, to which document, under which version it must
    still have (`seen`: its _seq_no and _primary_term), and the body."""

    action: str
    place: str
    id: str
    body: bytes | None = None
    seen: tuple[int, int] | None = None

    @property
    def lines(self) -> bytes:
        """As a bulk has it."""
        meta: dict[str, Any] = {"_index": self.place, "_id": self.id}
        if self.seen is not None:
            meta |= {"if_seq_no": self.seen[0], "if_primary_term": self.seen[1]}
        line = msgspec.json.encode({self.action: meta}) + b"\n"
        return line if self.body is None else line + self.body + b"\n"


class Refreshes:
    """Refreshes of an index: those who ask while one runs share the next."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._begun: dict[str, int] = {}

    async def share(self, index: str, refresh: Callable[[], Awaitable[None]]) -> None:
        """Returns when a refresh that began after this call is over."""
        asked = self._begun.setdefault(index, 0)
        async with self._locks.setdefault(index, asyncio.Lock()):
            if self._begun[index] > asked:
                return
            self._begun[index] += 1
            try:
                await refresh()
            except BaseException:
                self._begun[index] -= 1
                raise


class Connections:
    """The connections of one process to the server at `address`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._away_since: float | None = None
        self._refreshes = Refreshes()
        self._clock = Clock()

    async def start(self, check: "Callable[[], Awaitable[None]]") -> None:
        """Connects and lets `check` look at the server, by calls. Raises StoreAway."""
        self._loop = asyncio.get_running_loop()
        self._client = _client(self._address)
        logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # we say ourselves what is away, once
        try:
            await check()
        except BaseException as error:
            await self.stop()
            if isinstance(error, StoreAway):
                why = str(error).removeprefix("Elasticsearch: ")
                raise StoreAway(f"Elasticsearch at {self._address.shown} cannot be used: {why}") from None
            raise

    async def stop(self) -> None:
        """Closes all; calls under way are over by then."""
        await self._client.close()

    async def call(
        self,
        job: "Callable[Concatenate[Session, P], Awaitable[T]]",
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """What `job` answers; all its requests together have PATIENCE. Raises StoreAway."""
        started = asyncio.get_running_loop().time()
        away_since = self._away_since
        ends = started + (PATIENCE if away_since is None or started - away_since < PATIENCE else HURRY)
        try:
            async with asyncio.timeout_at(ends), self._lent() as client:
                session = Session(client, self._address.index, self._clock, self._refreshes, ends)
                answer = await job(session, *args, **kwargs)
        except (TimeoutError, Away) as error:
            self._away_since = self._away_since or started
            why = str(error) or "no answer in time"
            raise StoreAway(f"Elasticsearch: {why}") from None
        self._away_since = None
        return answer

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Any]:
        if asyncio.get_running_loop() is self._loop:
            yield self._client
            return
        client = _client(self._address)
        try:
            yield client
        finally:
            await client.close()


class Session:
    """The requests of one call, in the indices whose names begin with `index`. They are tried until `ends`."""

    def __init__(self, client: Any, index: str, clock: Clock, refreshes: Refreshes, ends: float) -> None:
        self._client, self._refreshes, self._ends = client, refreshes, ends
        self.clock = clock
        self.messages, self.contents = index, f"{index}-contents"
        self.keys, self.notices, self.rates = f"{index}-keys", f"{index}-notices", f"{index}-rates"
        self.gone = f"{index}-gone"

    @property
    def indices(self) -> tuple[str, ...]:
        """All of them."""
        return self.messages, self.contents, self.keys, self.notices, self.rates, self.gone

    async def ask(self, method: str, path: str, body: Any = None, expect: tuple[int, ...] = ()) -> Any:
        """The answer to one request; None where its status is one of `expect`. Raises Away, Refused."""
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        headers = _LINES if isinstance(body, bytes) else _JSON

        async def once() -> Any:
            return await _ask(self._client, method, path, data, headers, expect)

        return await self._patiently(once)

    async def get(self, index: str, ids: Sequence[str], fields: str = "") -> dict[str, Any]:
        """The documents of these ids as they stand now (not as a search last saw them), by id; without those that are not
        there. `fields` names those wanted of their sources."""
        wanted = [id for id in dict.fromkeys(ids) if 0 < len(id.encode()) <= 512]
        if not wanted:
            return {}
        path = f"/{index}/_mget" + (f"?_source_includes={fields}" if fields else "")
        body = msgspec.json.encode({"ids": wanted})

        async def once() -> dict[str, Any]:
            answer = await _ask(self._client, "POST", path, body, _JSON, ())
            if errors := [each["error"] for each in answer["docs"] if "error" in each]:
                raise Away(_reason(errors[0]))
            return {each["_id"]: each for each in answer["docs"] if each["found"]}

        return await self._patiently(once)

    async def search(self, index: str, body: dict[str, Any]) -> dict[str, Any]:
        """A search that sees all that any process wrote before it was asked. `index` may be "" with a point in time."""
        if index:
            await self.refresh(index)
        path = f"{'/' * bool(index)}{index}/_search?allow_partial_search_results=false"
        return await self.ask("POST", path, body)

    async def refresh(self, index: str) -> None:
        """Lets searches see what was written until now."""

        async def once() -> None:
            answer = await _ask(self._client, "POST", f"/{index}/_refresh", None, _JSON, ())
            if answer["_shards"]["successful"] == 0:
                raise Away("its shards are not there yet")

        await self._refreshes.share(index, lambda: self._patiently(once))

    async def bulk(self, items: Sequence[Item]) -> list[bool]:
        """Makes these writes; for each whether it was done, or was a conflict (for a deletion: or was not there). What a
        full server turned away is tried again."""
        done: dict[int, bool] = {}
        for part in parts(items):
            await self._patiently(lambda part=part: self._bulk_once(items, part, done))
        return [done[n] for n in range(len(items))]

    async def _bulk_once(self, items: Sequence[Item], part: Sequence[int], done: dict[int, bool]) -> None:
        left = [n for n in part if n not in done]
        body = b"".join(items[n].lines for n in left)
        answer = await _ask(self._client, "POST", "/_bulk?timeout=4s", body, _LINES, ())
        turned_away: list[str] = []
        for n, each in zip(left, answer["items"], strict=True):
            result = each[items[n].action]
            status = result["status"]
            if status in BUSY:
                turned_away.append(_reason(result.get("error")))
            elif status < 300 or status in (404, CONFLICT):
                done[n] = status < 300
            else:
                raise Refused(f"Elasticsearch refuses to {items[n].action}: {_reason(result.get('error'))}")
        if turned_away:
            raise Away(turned_away[0])

    async def _patiently(self, once: Callable[[], Awaitable[T]]) -> T:
        loop, pause = asyncio.get_running_loop(), PAUSE_FIRST
        while True:
            try:
                return await once()
            except Away:
                if loop.time() + pause > self._ends:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, PAUSE_MOST)


def parts(items: Sequence[Item]) -> list[list[int]]:
    """The places of items that go together in one request."""
    found: list[list[int]] = []
    room = 0
    for n, item in enumerate(items):
        size = len(item.body or b"") + 200
        if not found or size > room:
            found.append([])
            room = BULK
        found[-1].append(n)
        room -= size
    return found


async def _ask(
    client: Any, method: str, path: str, body: bytes | None, headers: dict[str, str], expect: tuple[int, ...]
) -> Any:
    try:
        answer = await client.perform_request(method, path, headers=headers, body=body)
    except elasticsearch.ApiError as error:
        status = int(error.status_code)
        if status in expect:
            return None
        reason = _reason(error.body)
        if status in BUSY:
            raise Away(reason) from None
        if status in (401, 403):
            raise Away(f"it does not let us in: {reason}") from None
        raise Refused(f"Elasticsearch answered {status}: {reason}") from None
    except elastic_transport.TlsError:
        raise Away("its certificate is not trusted") from None
    except elastic_transport.ConnectionTimeout:
        raise Away("no answer in time") from None
    except elastic_transport.TransportError as error:
        raise Away(" ".join(str(error.message).split())) from None
    return answer.body


def _reason(error: Any) -> str:
    """The type of an error; and its reason, where that cannot hold anything of a mail."""
    try:
        inner = error.get("error", error)
        kind, reason = str(inner["type"]), str(inner.get("reason", ""))
    except (AttributeError, KeyError, TypeError):
        return "no reason given"
    return f"{kind}: {reason}" if kind in _HARMLESS else kind


_HARMLESS = (
    "cluster_block_exception",
    "es_rejected_execution_exception",
    "index_not_found_exception",
    "security_exception",
)


class _Json(elastic_transport.JsonSerializer):
    """Faster than the client's own."""

    def json_loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


def _client(address: Address) -> Any:
    return elasticsearch.AsyncElasticsearch(
        address.url,
        serializer=_Json(),
        max_retries=0,
        retry_on_timeout=False,
        request_timeout=PATIENCE,
        **address.options,
    )
