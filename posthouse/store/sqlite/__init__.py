"""The embedded store and catalog: one SQLite file, one writer thread with group commit, readers apart.

Durable by WAL with synchronous=FULL. Several processes of one machine may share the file; each has its own writer.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from posthouse.check import Check
from posthouse.mail.advance import Settlement
from posthouse.mail.message import LANES, Content, Lane, Message
from posthouse.mail.notice import Notice
from posthouse.mail.unsettled import Resolution, Which
from posthouse.rate import Leased, Rate
from posthouse.store.base import Draft, Heard, Overview, Page, Query, Saved, Totals
from posthouse.store.fresh import Fresh
from posthouse.store.snapshot import Snapshot
from posthouse.store.sqlite import messages, notices, pages, rates, retention, snapshot, unsettled
from posthouse.store.sqlite.campaigns import SqliteCampaigns
from posthouse.store.sqlite.contacts import SqliteContacts
from posthouse.store.sqlite.examine import examine_file
from posthouse.store.sqlite.keys import SqliteApiKeys
from posthouse.store.sqlite.secret import SqliteSecret
from posthouse.store.sqlite.suppressions import SqliteSuppressions
from posthouse.store.sqlite.templates import SqliteTemplates
from posthouse.store.sqlite.trail import SqliteTrail


class SqliteStore(
    SqliteApiKeys,
    SqliteContacts,
    SqliteCampaigns,
    SqliteSecret,
    SqliteSuppressions,
    SqliteTemplates,
    SqliteTrail,
):
    """Store and Catalog (see store.base) in the file at `path`. `start` applies missing migrations if `migrating`."""

    identity: str
    batch = 128
    """Their write takes less than 10 ms."""

    def __init__(self, path: str | Path, *, migrating: bool = True) -> None:
        super().__init__(path, migrating=migrating)
        self._fresh = Fresh()
        self._looked = 0

    async def start(self) -> None:
        await super().start()
        self.identity = await self._read(_identity)

    async def ping(self) -> None:
        await self._write(_ping)

    async def save(self, drafts: Sequence[Draft]) -> list[Saved]:
        saved = await self._write(messages.save, drafts)
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
            return await self._write(messages.claim_ids, owner, limit, lease, ids)
        claimed: list[Message] = []
        for each in LANES if lane is None else (lane,):
            room = limit - len(claimed)
            claimed += await self._write(
                messages.claim_due, owner, room, lease, each, campaign, overdue, alone
            )
        return claimed

    async def lapsed(self, owner: str, limit: int, lease: float) -> list[Message]:
        ids = await self._read(pages.lapsed, limit)
        return await self._write(messages.lapsed, owner, lease, ids) if ids else []

    async def expired(self, owner: str, limit: int, lease: float) -> list[Message]:
        ids = await self._read(pages.expired, limit)
        return await self._write(messages.expired, owner, lease, ids) if ids else []

    async def renew(self, owner: str, ids: Sequence[str], lease: float) -> list[str]:
        return await self._write(messages.renew, owner, ids, lease)

    async def held(self, owner: str) -> list[Message]:
        return await self._read(pages.held, owner)

    async def release(self, leases: Sequence[tuple[str, int]], wait: float) -> None:
        await self._write(messages.release, leases, wait)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        return await self._write(notices.settle, settlements)

    async def hear(self, heard: Sequence[Notice]) -> list[Heard]:
        return await self._write(notices.hear, heard)

    async def lease_rate(self, name: str, wanted: int, rate: Rate) -> Leased:
        return await self._write(rates.lease_rate, name, wanted, rate)

    async def contents(self, ids: Sequence[str]) -> dict[str, Content]:
        contents = self._fresh.take(ids)
        if len(contents) < len(ids):
            contents |= await self._read(pages.contents, [id for id in ids if id not in contents])
        return contents

    async def get(self, id: str) -> tuple[Message, Content | None] | None:
        return await self._read(pages.get, id)

    async def named(self, scope: str, keys: Sequence[str]) -> dict[str, str]:
        return await self._read(pages.named, scope, keys)

    async def keep(self, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
        return await self._write(messages.keep, rendered)

    async def retry(self, id: str, expire: float) -> Message | None:
        return await self._write(messages.retry, id, expire)

    async def resolve(
        self, ids: Sequence[str], how: Resolution, which: Which, by: str, expire: float
    ) -> list[Message]:
        return await self._write(unsettled.resolve, ids, how, which, by, expire)

    async def page(self, query: Query) -> Page:
        return await self._read(pages.page, query)

    async def totals(self, since: int, until: int) -> Totals:
        return await self._read(pages.totals, since, until)

    async def overview(self) -> Overview:
        return await self._read(pages.overview)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return snapshot.opened(self._path)

    async def examine(self) -> list[Check]:
        return await self._write(examine_file, self._path)

    async def sweep(self) -> None:
        await self._write(messages.sweep)
        while await self._write(messages.hasten):
            pass
        await self._write(notices.forget)
        await self._write(rates.forget)

    async def prune(self, bodies: float | None, records: float | None) -> int:
        gone = 0
        if records is not None:
            for last in await self._read(retention.old_records, records):
                ids = await self._write(retention.forget_records, last, records)
                self._fresh.take(ids)
                gone += len(ids)
        if bodies is not None:
            chunks, self._looked = await self._read(retention.old_bodies, self._looked, bodies)
            for chunk in chunks:
                gone += await self._write(retention.forget_bodies, chunk)
                self._fresh.take([body.id for body in chunk])
        return gone

    async def next_due(self, lane: Lane | None = None) -> float | None:
        return await self._read(pages.next_due, LANES if lane is None else (lane,))


def _identity(connection: sqlite3.Connection) -> str:
    return connection.execute("SELECT value FROM facts WHERE name = 'identity'").fetchone()[0]


def _ping(connection: sqlite3.Connection) -> None:
    """Touches the file as a writer would."""
    connection.execute("UPDATE facts SET value = value WHERE name = 'identity'")
