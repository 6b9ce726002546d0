"""The embedded store and catalog: one SQLite file, one writer thread with group commit, readers apart.

Durable by WAL with synchronous=FULL. Several processes of one machine may share the file; each has its own writer.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from posthouse.check import Check
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Content, Lane, Message
from posthouse.mail.notice import Notice
from posthouse.rate import Leased, Rate
from posthouse.store.base import ApiKey, Draft, Heard, Overview, Page, Query, Saved, Snapshot, Totals
from posthouse.store.fresh import Fresh
from posthouse.store.sqlite import catalog, messages, notices, pages, rates, retention, snapshot
from posthouse.store.sqlite.examine import examine_file
from posthouse.store.sqlite.schema import migrate, require
from posthouse.store.sqlite.writer import Writer, away, connect

READERS = 3
"""Threads that read."""
PATIENCE = 5.0
"""Seconds after which a store that does not answer is away."""

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """Store and Catalog (see store.base) in the file at `path`. `start` applies missing migrations if `migrating`."""

    identity: str

    def __init__(self, path: str | Path, *, migrating: bool = True) -> None:
        self._path = str(path)
        self._migrating = migrating
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._fresh = Fresh()
        self._looked = 0

    async def start(self) -> None:
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(migrate if self._migrating else require, self._path)
            self._writer = Writer(self._path)
            self._writer.start()
        except (sqlite3.Error, OSError) as error:
            raise StoreAway(f"SQLite cannot use {self._path}: {error}") from error
        self._pool = ThreadPoolExecutor(READERS, "sqlite-reader")
        self.identity = await self._read(_identity)

    async def stop(self) -> None:
        await asyncio.to_thread(self._writer.stop)
        self._pool.shutdown()
        for connection in self._readers:
            connection.close()

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
        ids: Sequence[str] | None = None,
        overdue: float = 0.0,
        alone: bool = False,
    ) -> list[Message]:
        if ids is not None:
            return await self._write(messages.claim_ids, owner, limit, lease, ids)
        claimed: list[Message] = []
        for each in LANES if lane is None else (lane,):
            room = limit - len(claimed)
            claimed += await self._write(messages.claim_due, owner, room, lease, each, overdue, alone)
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

    async def add_api_key(self, key: ApiKey, seconds: float | None = None) -> ApiKey:
        return await self._write(catalog.add_api_key, key, seconds)

    async def api_keys(self) -> list[ApiKey]:
        return await self._read(catalog.api_keys)

    async def revoke_api_key(self, id_or_name: str) -> int:
        return await self._write(catalog.revoke_api_key, id_or_name)

    async def api_key_version(self) -> int:
        return await self._read(catalog.api_key_version)

    async def _write(
        self, job: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        future = self._writer.submit(lambda connection: job(connection, *args, **kwargs))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE)
        except TimeoutError:
            raise StoreAway("SQLite: no answer in time") from None

    async def _read(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def run() -> T:
            try:
                return query(self._reader(), *args, **kwargs)
            except sqlite3.Error as error:
                raise away(error) from None

        return await asyncio.wrap_future(self._pool.submit(run))

    def _reader(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = connect(self._path, read_only=True)
            self._readers.append(self._local.connection)
        return self._local.connection


def _identity(connection: sqlite3.Connection) -> str:
    return connection.execute("SELECT value FROM facts WHERE name = 'identity'").fetchone()[0]


def _ping(connection: sqlite3.Connection) -> None:
    """Touches the file as a writer would."""
    connection.execute("UPDATE facts SET value = value WHERE name = 'identity'")
