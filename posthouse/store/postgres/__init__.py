"""The store and catalog on PostgreSQL 15 or newer: any number of processes on any number of machines, one truth.

A call is one statement or one short transaction (`connection`); new mail is placed by one locked row, so its order has
no gaps (`save`); claims skip what is locked (`change`); lists are ranges of an index (`pages`).
"""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from posthouse.check import Check
from posthouse.mail.advance import Settlement
from posthouse.mail.message import LANES, Content, Lane, Message
from posthouse.mail.notice import Notice
from posthouse.mail.unsettled import Resolution, Which
from posthouse.rate import Leased, Rate
from posthouse.store.base import Draft, Heard, Overview, Page, Query, Saved, Totals
from posthouse.store.postgres import (
    change,
    examine,
    notices,
    pages,
    rates,
    retention,
    save,
    snapshot,
    sweep,
    unsettled,
    wake,
)
from posthouse.store.postgres.address import parse
from posthouse.store.postgres.campaigns import PostgresCampaigns
from posthouse.store.postgres.change import SHARDS, Tried
from posthouse.store.postgres.connection import Connection, Connections
from posthouse.store.postgres.contacts import PostgresContacts
from posthouse.store.postgres.keys import PostgresApiKeys
from posthouse.store.postgres.schema import migrate, require, require_fit
from posthouse.store.postgres.secret import PostgresSecret
from posthouse.store.postgres.suppressions import PostgresSuppressions
from posthouse.store.postgres.templates import PostgresTemplates
from posthouse.store.postgres.trail import PostgresTrail
from posthouse.store.snapshot import Snapshot


class PostgresStore(
    PostgresApiKeys,
    PostgresContacts,
    PostgresCampaigns,
    PostgresSecret,
    PostgresSuppressions,
    PostgresTemplates,
    PostgresTrail,
):
    """Store and Catalog (see store.base) in the database of `url`. `start` applies missing migrations if `migrating`."""

    identity: str
    batch = 512

    def __init__(self, url: str, *, migrating: bool = False) -> None:
        super().__init__(Connections(parse(url)))
        self._migrating = migrating
        self._swept, self._looked = 0, retention.Look()

    async def start(self) -> None:
        await self._connections.start(self._check)

    async def stop(self) -> None:
        await self._connections.stop()

    async def ping(self) -> None:
        await self._connections.call(_ping)

    async def save(self, drafts: Sequence[Draft]) -> list[Saved]:
        doubtful: dict[str, int] = {}
        return await self._connections.call(save.save, drafts, doubtful, self._channel, _shard())

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
        tried: Tried = {}
        if ids is not None:
            return await self._connections.transact(
                change.claim_ids, tried, owner, limit, lease, ids, _shard()
            )
        lanes = LANES if lane is None else (lane,)
        return await self._connections.transact(
            change.claim, tried, owner, limit, lease, lanes, campaign, overdue, alone, _shard()
        )

    async def lapsed(self, owner: str, limit: int, lease: float) -> list[Message]:
        tried: Tried = {}
        return await self._connections.transact(
            change.take, tried, change.LAPSED, owner, limit, lease, _shard()
        )

    async def expired(self, owner: str, limit: int, lease: float) -> list[Message]:
        tried: Tried = {}
        return await self._connections.transact(
            change.take, tried, change.EXPIRED, owner, limit, lease, _shard()
        )

    async def renew(self, owner: str, ids: Sequence[str], lease: float) -> list[str]:
        return await self._connections.transact(change.renew, owner, ids, lease, _shard())

    async def held(self, owner: str) -> list[Message]:
        return await self._connections.call(pages.held, owner)

    async def release(self, leases: Sequence[tuple[str, int]], wait: float) -> None:
        tried: Tried = {}
        await self._connections.transact(change.release, tried, leases, wait, _shard())

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        tried: Tried = {}
        return await self._connections.transact(notices.settle, tried, settlements, _shard())

    async def hear(self, heard: Sequence[Notice]) -> list[Heard]:
        return await self._connections.transact(notices.hear, heard, _shard())

    async def lease_rate(self, name: str, wanted: int, rate: Rate) -> Leased:
        return await self._connections.transact(rates.lease_rate, name, wanted, rate)

    async def contents(self, ids: Sequence[str]) -> dict[str, Content]:
        return await self._connections.call(pages.contents, ids)

    async def get(self, id: str) -> tuple[Message, Content | None] | None:
        return await self._connections.call(pages.get, id)

    async def named(self, scope: str, keys: Sequence[str]) -> dict[str, str]:
        return await self._connections.call(pages.named, scope, keys)

    async def keep(self, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
        return await self._connections.transact(change.keep, rendered)

    async def retry(self, id: str, expire: float) -> Message | None:
        tried: Tried = {}
        return await self._connections.transact(change.retry, tried, id, expire, _shard())

    async def resolve(
        self, ids: Sequence[str], how: Resolution, which: Which, by: str, expire: float
    ) -> list[Message]:
        tried: Tried = {}
        return await self._connections.transact(
            unsettled.resolve, tried, ids, how, which, by, expire, _shard()
        )

    async def page(self, query: Query) -> Page:
        return await self._connections.call(pages.page, query)

    async def totals(self, since: int, until: int) -> Totals:
        return await self._connections.call(pages.totals, since, until)

    async def overview(self) -> Overview:
        return await self._connections.call(pages.overview)

    async def examine(self) -> list[Check]:
        return await self._connections.call(examine.examine_server, self._connections.pooled)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return snapshot.opened(self._connections)

    async def sweep(self) -> None:
        self._swept = await self._connections.call(sweep.sweep, self._swept)
        more = await self._connections.call(sweep.was_set_back)
        while more:
            tried: Tried = {}
            more = await self._connections.transact(change.hasten, tried, sweep.SLICE, _shard())

    async def prune(self, bodies: float | None, records: float | None) -> int:
        gone = 0
        if records is not None:
            gone += await self._connections.transact(retention.forget_records, records)
        if bodies is not None:
            cut, self._looked = await self._connections.transact(
                retention.forget_bodies, self._looked, bodies
            )
            gone += cut
        return gone

    async def next_due(self, lane: Lane | None = None) -> float | None:
        return await self._connections.call(pages.next_due, LANES if lane is None else (lane,))

    async def listen(self, woken: Callable[[Lane], None]) -> None:
        """Calls `woken` for each lane that any process saves mail in that is due; until cancelled."""
        await wake.listen(self._connections, self._channel, woken)

    async def _check(self, connection: Connection) -> None:
        await require_fit(connection)
        await (migrate if self._migrating else require)(connection)
        self.identity = await connection.fetchval("SELECT value FROM facts WHERE name = 'identity'")
        self._channel = wake.channel(self.identity)


async def _ping(connection: Connection) -> None:
    """Answers only where it could write."""
    await connection.execute("SELECT 1 FROM facts WHERE name = 'identity' FOR NO KEY UPDATE")


def _shard() -> int:
    return random.randrange(SHARDS)
