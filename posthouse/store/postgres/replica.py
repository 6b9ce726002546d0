"""A read replica: lists and totals are read there while it keeps up, and from the store itself whenever it does not.

Rules: nobody waits for a replica. It is looked at once a second; one that is away, of another store, or too late is not
asked, nor one of which nobody can say how late it is. A cursor that it does not know is the store's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from posthouse.mail.errors import StoreAway
from posthouse.store.base import Page, Query, Reads, Totals, UnknownCursor
from posthouse.store.migrate import SchemaMismatch
from posthouse.store.postgres import pages
from posthouse.store.postgres.address import parse
from posthouse.store.postgres.connection import Connection, Connections
from posthouse.store.postgres.schema import require

PATIENCE = 1.0
"""Seconds that a replica has to answer; the store then still has the rest of the request's time."""
LOOK = 1.0
"""Seconds between two looks."""
BEHIND = 5.0
"""Seconds that a list may be late, by default."""

LAG = """SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0
  WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT pid FROM pg_stat_wal_receiver) THEN 0
  ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8"""
"""Seconds that it is late: none where all that was received is replayed and more can come; NULL where it cannot say."""

T = TypeVar("T")


class _Unusable(Exception):
    """It answers, but not for this store, or too late; the text says which."""


class Replica:
    """Reads of the store `primary`, whose `identity` it must have, from the server of `url` where that can be. Lists may
    be `behind` seconds late."""

    def __init__(self, url: str, primary: Reads, identity: str, *, behind: float = BEHIND) -> None:
        self._behind = behind
        self._connections = Connections(parse(url, "POSTHOUSE_REPLICA"))
        self._primary, self._identity = primary, identity
        self._opened = False
        self.why: str | None = "it was not looked at yet"
        """Why lists are not read from it; None while they are."""
        self._log = structlog.get_logger("store")
        self._watching: asyncio.Task[None] | None = None

    @property
    def used(self) -> bool:
        """Whether lists are read from it now."""
        return self.why is None

    async def start(self) -> None:
        """Returns at once: whether it can be used is found out beside the work."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Closes its connections."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        if self._opened:
            await self._connections.stop()

    async def page(self, query: Query) -> Page:
        with suppress(UnknownCursor):
            page = await self._asked(lambda: self._connections.call(pages.page, query))
            if page is not None:
                return page
        return await self._primary.page(query)

    async def totals(self, since: int, until: int) -> Totals:
        totals = await self._asked(lambda: self._connections.call(pages.totals, since, until))
        return await self._primary.totals(since, until) if totals is None else totals

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Its answer; None where the store is to be asked."""
        if not self.used:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                return await call()
        except (StoreAway, TimeoutError) as error:
            self._note(str(error) or "no answer in time")
            return None

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
                self._note(None)
            except (StoreAway, SchemaMismatch, _Unusable) as error:
                self._note(str(error))
            except Exception as error:
                self._note(type(error).__name__)
            await asyncio.sleep(LOOK)

    async def _look(self) -> None:
        if not self._opened:
            await self._connections.start(self._check)
            self._opened = True
        late = await self._connections.call(_late)
        if late is None or late > self._behind:
            raise _Unusable("nobody knows how late it is" if late is None else f"it is {late:.0f} s late")

    async def _check(self, connection: Connection) -> None:
        await require(connection)
        if await connection.fetchval("SELECT value FROM facts WHERE name = 'identity'") != self._identity:
            raise _Unusable("it is another store's")

    def _note(self, why: str | None) -> None:
        """Told when it changes."""
        if (why is None) != self.used:
            self._log.info("replica is used" if why is None else "replica is not used", why=why)
        elif why is not None and why != self.why:
            self._log.warning("replica is not used", why=why)
        self.why = why


async def _late(connection: Connection) -> float | None:
    return await connection.fetchval(LAG)
