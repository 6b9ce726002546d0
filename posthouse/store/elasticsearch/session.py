"""The requests of one call of the store: tried again while the server restarts or says that it is full, and given up in time.

Rules: every request may be made twice. Writes are creations or name the version they replace, so the second time they
are a conflict, and whoever gets one reads again: what it wanted to write may stand there. Each item of a bulk has its own
result, and each is looked at. A search that not all shards answered is no answer.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import field

from posthouse.store.elasticsearch.clock import Clock
from posthouse.store.elasticsearch.recent import Recent, Version
from posthouse.store.elasticsearch.request import BUSY, CONFLICT, JSON, LINES, Away, Refused, ask, reason

PAUSE_FIRST, PAUSE_MOST = 0.05, 0.5
"""Seconds between two tries."""
BULK = 8 << 20
"""Bytes of a bulk, about; a larger item goes alone."""
LONGEST = 512
"""Bytes of an id."""

T = TypeVar("T")


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


class Document(msgspec.Struct, frozen=True):
    """What a read of one document gives; `source` as it stands there."""

    id: str = field(name="_id")
    found: bool = False
    source: msgspec.Raw = field(name="_source", default_factory=msgspec.Raw)
    seq_no: int = field(name="_seq_no", default=-1)
    primary_term: int = field(name="_primary_term", default=-1)
    error: Any = None

    @property
    def seen(self) -> Version:
        """The version it was read in."""
        return self.seq_no, self.primary_term


class _Read(msgspec.Struct, frozen=True):
    docs: list[Document]


class _Done(msgspec.Struct, frozen=True):
    status: int
    seq_no: int = field(name="_seq_no", default=-1)
    primary_term: int = field(name="_primary_term", default=-1)
    error: Any = None


class _Bulk(msgspec.Struct, frozen=True):
    items: list[dict[str, _Done]]


_read = msgspec.json.Decoder(_Read).decode
_bulk = msgspec.json.Decoder(_Bulk).decode


class Refreshes:
    """Refreshes of an index: those who ask while one runs share the next."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._begun: dict[str, int] = {}
        self._last: dict[str, float] = {}

    async def share(self, index: str, refresh: Callable[[], Awaitable[None]], age: float = 0.0) -> None:
        """Returns when a refresh is over that began after this call, or no more than `age` seconds before."""
        asked, since = self._begun.setdefault(index, 0), time.monotonic() - age
        async with self._locks.setdefault(index, asyncio.Lock()):
            if self._begun[index] > asked or self._last.get(index, 0.0) > since:
                return
            self._begun[index] += 1
            began = time.monotonic()
            try:
                await refresh()
            except BaseException:
                self._begun[index] -= 1
                raise
            self._last[index] = began


class Session:
    """In the indices whose names begin with `index`; requests are tried until `ends`, on the loop's clock."""

    def __init__(
        self, client: Any, index: str, clock: Clock, refreshes: Refreshes, recent: Recent, ends: float
    ) -> None:
        self._client, self._refreshes, self._ends = client, refreshes, ends
        self.clock, self.recent = clock, recent
        self.messages, self.contents = index, f"{index}-contents"
        self.keys, self.notices, self.rates = f"{index}-keys", f"{index}-notices", f"{index}-rates"
        self.gone = f"{index}-gone"

    @property
    def indices(self) -> tuple[str, ...]:
        """All of them."""
        return self.messages, self.contents, self.keys, self.notices, self.rates, self.gone

    async def ask(self, method: str, path: str, body: Any = None, expect: tuple[int, ...] = ()) -> Any:
        """The answer to one request; None where its status is one of `expect`. Raises Away, Refused."""
        data = None if body is None else msgspec.json.encode(body)
        answer = await self._patiently(lambda: ask(self._client, method, path, data, JSON, expect))
        return None if answer is None else msgspec.json.decode(answer)

    async def get(self, index: str, ids: Sequence[str], fields: str = "") -> dict[str, Any]:
        """The documents of these ids as they stand now (not as a search last saw them), by id; without those that are not
        there. `fields` names those wanted of their sources."""
        wanted = f"_source_includes={fields}" if fields else ""
        return {
            each.id: {
                "_source": msgspec.json.decode(each.source),
                "_seq_no": each.seq_no,
                "_primary_term": each.primary_term,
            }
            for each in await self.read(index, ids, wanted)
        }

    async def read(self, index: str, ids: Iterable[str], options: str) -> list[Document]:
        """The same, undecoded; `options` are of the request."""
        wanted = [id for id in dict.fromkeys(ids) if 0 < len(id.encode()) <= LONGEST]
        if not wanted:
            return []
        path, body = f"/{index}/_mget?{options}", msgspec.json.encode({"ids": wanted})

        async def once() -> list[Document]:
            documents = _read(await ask(self._client, "POST", path, body) or b"").docs
            if error := next((each.error for each in documents if each.error is not None), None):
                raise Away(reason(error))
            return [each for each in documents if each.found]

        return await self._patiently(once)

    async def outdated(self, seen: Mapping[str, Version]) -> list[str]:
        """Those of these records that stand in that version no longer; they are not remembered any more."""
        standing = {each.id: each.seen for each in await self.read(self.messages, seen, "_source=false")}
        changed = [id for id, version in seen.items() if standing.get(id) != version]
        for id in changed:
            self.recent.drop(id)
        return changed

    async def search(self, index: str, body: dict[str, Any], age: float = 0.0) -> dict[str, Any]:
        """A search that sees all that any process wrote before it was asked, or until `age` seconds before. `index` may be
        "" with a point in time."""
        if index:
            await self.refresh(index, age)
        path = f"{'/' * bool(index)}{index}/_search?allow_partial_search_results=false"
        return await self.ask("POST", path, body)

    async def refresh(self, index: str, age: float = 0.0) -> None:
        """Lets searches see what was written until now, or until `age` seconds ago."""

        async def once() -> None:
            answer = msgspec.json.decode(await ask(self._client, "POST", f"/{index}/_refresh") or b"")
            if answer["_shards"]["successful"] == 0:
                raise Away("its shards are not there yet")

        await self._refreshes.share(index, lambda: self._patiently(once), age)

    async def bulk(self, items: Sequence[Item]) -> list[Version | None]:
        """Makes these writes; for each the version it made, or None where it was a conflict (for a deletion: or was not
        there). What a full server turned away is tried again."""
        done: dict[int, Version | None] = {}
        for part in parts(items):
            await self._patiently(lambda part=part: self._bulk_once(items, part, done))
        return [done[n] for n in range(len(items))]

    async def _bulk_once(
        self, items: Sequence[Item], part: Sequence[int], done: dict[int, Version | None]
    ) -> None:
        left = [n for n in part if n not in done]
        body = b"".join(items[n].lines for n in left)
        answer = _bulk(await ask(self._client, "POST", "/_bulk?timeout=4s", body, LINES) or b"")
        turned_away: list[str] = []
        for n, each in zip(left, answer.items, strict=True):
            result = each[items[n].action]
            if result.status in BUSY:
                turned_away.append(reason(result.error))
            elif result.status < 300:
                done[n] = result.seq_no, result.primary_term
            elif result.status in (404, CONFLICT):
                done[n] = None
            else:
                raise Refused(f"Elasticsearch refuses to {items[n].action}: {reason(result.error)}")
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
