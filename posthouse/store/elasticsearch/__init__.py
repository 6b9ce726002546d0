"""The store on Elasticsearch 8: one document for each mail holds its record, and one compare-and-set of it is the
transaction (`change`). No scripts; every read by id is of what stands now, every search is preceded by a refresh.

Searches of one process that come together share a refresh, so its cost is bounded. A worker that is told ids needs none.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Content, Lane, Message
from posthouse.mail.notice import Notice
from posthouse.mail.unsettled import Resolution, Which
from posthouse.rate import Leased, Rate
from posthouse.store.base import Draft, Heard, Overview, Page, Query, Saved, Totals
from posthouse.store.elasticsearch import (
    change,
    notices,
    pages,
    prune,
    rates,
    save,
    schema,
    snapshot,
    sweep,
    unsettled,
)
from posthouse.store.elasticsearch.address import parse
from posthouse.store.elasticsearch.clock import own
from posthouse.store.elasticsearch.connection import Connections
from posthouse.store.elasticsearch.session import Session
from posthouse.store.fresh import Fresh
from posthouse.store.snapshot import Snapshot

SWEEP_EVERY = 20.0
"""Seconds between two looks of a process at what is to be forgotten: each costs a refresh of several indices."""


MAKING = 60.0
"""Seconds that making an index may take."""


class ElasticsearchStore:
    """Store (see store.base) in the indices of `url`. `start` makes them if `migrating`."""

    identity: str
    batch = 128

    def __init__(self, url: str, *, migrating: bool = False) -> None:
        self._connections = Connections(parse(url))
        self._migrating = migrating
        self._fresh = Fresh()
        self._turn = asyncio.Lock()
        self._next_sweep = 0.0

    async def start(self) -> None:
        await self._connections.start(self._check)

    async def stop(self) -> None:
        await self._connections.stop()

    async def ping(self) -> None:
        await self._connections.call(rates.touch)

    async def save(self, drafts: Sequence[Draft]) -> list[Saved]:
        saved = await self._connections.call(save.save, drafts)
        self._fresh.saved(drafts, saved)
        return saved

    async def claim(
        self,
        owner: str,
        limit: int,
        lease: float,
        *,
        lane: Lane | None = None,
        campaign: str | None = None,
        ids: Sequence[str] | None = None,
        overdue: float = 0.0,
        alone: bool = False,
    ) -> list[Message]:
        if ids is not None:
            return await self._connections.call(change.claim_ids, owner, limit, lease, ids)
        lanes = LANES if lane is None else (lane,)
        async with self._turn:  # searches that come together would find the same mail
            return await self._connections.call(
                change.claim, owner, limit, lease, lanes, campaign, overdue, alone
            )

    async def lapsed(self, owner: str, limit: int, lease: float) -> list[Message]:
        return await self._connections.call(change.lapsed, owner, limit, lease)

    async def expired(self, owner: str, limit: int, lease: float) -> list[Message]:
        return await self._connections.call(change.expired, owner, limit, lease)

    async def renew(self, owner: str, ids: Sequence[str], lease: float) -> list[str]:
        return await self._connections.call(change.renew, owner, ids, lease)

    async def held(self, owner: str) -> list[Message]:
        return await self._connections.call(pages.held, owner)

    async def release(self, leases: Sequence[tuple[str, int]], wait: float) -> None:
        await self._connections.call(change.release, leases, wait)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        return await self._connections.call(notices.settle, settlements)

    async def hear(self, heard: Sequence[Notice]) -> list[Heard]:
        return await self._connections.call(notices.hear, heard)

    async def lease_rate(self, name: str, wanted: int, rate: Rate) -> Leased:
        return await self._connections.call(rates.lease_rate, name, wanted, rate)

    async def contents(self, ids: Sequence[str]) -> dict[str, Content]:
        contents = self._fresh.take(ids)
        left = [id for id in ids if id not in contents]
        return contents | (await self._connections.call(pages.contents, left) if left else {})

    async def get(self, id: str) -> tuple[Message, Content | None] | None:
        return await self._connections.call(pages.get, id)

    async def named(self, scope: str, keys: Sequence[str]) -> dict[str, str]:
        return await self._connections.call(save.named, scope, keys)

    async def keep(self, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
        return await self._connections.call(change.keep, rendered)

    async def retry(self, id: str, expire: float) -> Message | None:
        return await self._connections.call(change.retry, id, expire)

    async def resolve(
        self, ids: Sequence[str], how: Resolution, which: Which, by: str, expire: float
    ) -> list[Message]:
        return await self._connections.call(unsettled.resolve, ids, how, which, by, expire)

    async def page(self, query: Query) -> Page:
        return await self._connections.call(pages.page, query)

    async def totals(self, since: int, until: int) -> Totals:
        return await self._connections.call(pages.totals, since, until)

    async def overview(self) -> Overview:
        return await self._connections.call(pages.overview)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return snapshot.opened(self._connections)

    async def sweep(self) -> None:
        if time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + SWEEP_EVERY
        await self._connections.call(sweep.sweep)
        await self._connections.call(notices.mend)
        await self._connections.call(_set_clock)

    async def prune(self, bodies: float | None, records: float | None) -> int:
        gone: list[str] = []
        if bodies is not None:
            gone += await self._connections.call(prune.prune_bodies, bodies)
        if records is not None:
            gone += await self._connections.call(prune.prune_records, records)
        self._fresh.take(gone)
        return len(gone)

    async def next_due(self, lane: Lane | None = None) -> float | None:
        return await self._connections.call(pages.next_due, LANES if lane is None else (lane,))

    async def _check(self) -> None:
        if self._migrating:
            for step in await self._connections.call(schema.missing):
                await asyncio.gather(*(self._make(index) for index in step))
        self.identity = await self._connections.call(schema.require)
        await self._connections.call(_set_clock)

    async def _make(self, index: str) -> None:
        """A server takes its time for this, the longer the busier it is; it goes on where nobody waits for it."""
        ends = time.monotonic() + MAKING
        while True:
            try:
                return await self._connections.call(schema.make, index)
            except StoreAway:
                if time.monotonic() > ends:
                    raise


async def _set_clock(session: Session) -> None:
    """By the clock of the elected master, which all processes ask."""
    asked = own()
    answer = await session.ask("GET", "/_nodes/_master/stats/http?filter_path=nodes.*.timestamp")
    (node,) = answer["nodes"].values()
    session.clock.set(asked, node["timestamp"], own())
