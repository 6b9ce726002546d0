"""The store and catalog behind a records role (`posthouse records`), over gRPC: every call of the port is asked there.

What is due, and what is known, only the store there decides; times are its own. Calls end within 5 seconds. Only what
needs more than asking is written here; all other calls of the ports are those that store.wire finds in them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import structlog

from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Lane, Message
from posthouse.store import wire
from posthouse.store.base import Page, Query
from posthouse.store.remote.address import parse
from posthouse.store.remote.leases import Leases
from posthouse.store.remote.line import LONG, Line
from posthouse.store.snapshot import Snapshot

AGAIN = 1.0
"""Seconds before a broken stream is opened again."""
BEYOND = 1 << 62
"""A page that no store has; larger numbers do not go over the wire."""


class RemoteStore:
    """Store and Catalog (see store.base) behind the records role of `url`."""

    identity: str
    batch = 128

    def __init__(self, url: str) -> None:
        self._line = Line(parse(url))
        self._asks = {name: self._asking(call) for name, call in wire.store_calls().items()}
        self._leases = Leases(self._asks["held"], self._asks["release"])

    def __getattr__(self, name: str) -> Any:
        """A call of the port that is only asked there."""
        try:
            return self.__dict__["_asks"][name]
        except KeyError:
            raise AttributeError(name) from None

    async def start(self) -> None:
        try:
            self.identity = wire.read_text(await self._line.start(wire.IDENTITY))
        except BaseException:
            await self._line.stop()
            raise

    async def stop(self) -> None:
        await self._line.stop()

    async def claim(self, owner: str, limit: int, lease: float, **asked: Any) -> list[Message]:
        return await self._leases.ask(owner, lambda: self._asks["claim"](owner, limit, lease, **asked))

    async def lapsed(self, owner: str, limit: int, lease: float) -> list[Message]:
        return await self._leases.ask(owner, lambda: self._asks["lapsed"](owner, limit, lease))

    async def expired(self, owner: str, limit: int, lease: float) -> list[Message]:
        return await self._leases.ask(owner, lambda: self._asks["expired"](owner, limit, lease))

    async def renew(self, owner: str, ids: Sequence[str], lease: float) -> list[str]:
        leases = self._leases.of(ids)
        renewed = await self._asks["renew"](owner, ids, lease)
        self._leases.ended(leases.items() - self._leases.of(renewed).items())
        return renewed

    async def release(self, leases: Sequence[tuple[str, int]], wait: float) -> None:
        await self._asks["release"](leases, wait)
        self._leases.over(id for id, _ in leases)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        settled = await self._asks["settle"](settlements)
        self._leases.over(settlement.id for settlement in settlements)
        return settled

    async def page(self, query: Query) -> Page:
        page = query.page and min(query.page, BEYOND)
        return await self._asks["page"](msgspec.structs.replace(query, page=page))

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        """A stream to the other side, where the snapshot is for as long as the stream."""
        async with self._line.conversation(wire.SNAPSHOT) as stream:
            await self._line.exchange(stream, wire.write(wire.Asked()))  # answered once it is there
            yield cast(Snapshot, _RemoteSnapshot(self._line, stream))

    async def listen(self, woken: Callable[[Lane], None]) -> None:
        """Calls `woken` for each lane in which mail is saved through that records role; until cancelled."""
        while True:
            try:
                async for told in self._line.hear(wire.LISTEN):
                    woken(wire.read_lane(told))
            except StoreAway:
                pass
            except Exception as error:
                structlog.get_logger("store").warning("cannot listen", why=str(error))
            await asyncio.sleep(AGAIN)

    def _asking(self, call: wire.Call) -> Callable[..., Any]:
        async def ask(*args: Any, **kwargs: Any) -> Any:
            return call.read_result(await self._line.ask(call.method, call.write_arguments(*args, **kwargs)))

        return ask


class _RemoteSnapshot:
    """Snapshot (see store.base) at the other end of a stream."""

    def __init__(self, line: Line, stream: Any) -> None:
        self._line, self._stream = line, stream
        self._calls = wire.snapshot_calls()

    def __getattr__(self, name: str) -> Any:
        calls: dict[str, wire.Call] = self.__dict__["_calls"]
        if name not in calls:
            raise AttributeError(name)
        call = calls[name]

        async def ask(*args: Any, **kwargs: Any) -> Any:
            asked = wire.Asked(call.method, call.write_arguments(*args, **kwargs))
            return call.read_result(await self._line.exchange(self._stream, wire.write(asked), LONG))

        return ask
