"""Connections to PostgreSQL: lent for a call, tried again while the server restarts, given up within PATIENCE.

Rules: a call is one statement, or a transaction of few; nothing of a session outlives it (SET LOCAL only, no session
locks), so a pooler in transaction mode may stand between. Behind one each call is a transaction, and no statement is
kept prepared. A call may be made from any event loop: one that is not the store's gets a connection of its own.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import asyncpg as untyped  # pyright: ignore[reportMissingTypeStubs]

from posthouse.mail.errors import StoreAway
from posthouse.store.postgres.address import Address

asyncpg: Any = untyped

PATIENCE = 4.5
"""Seconds after which a store that does not answer is away."""
PAUSE_FIRST, PAUSE_MOST = 0.05, 0.5
"""Seconds between two tries."""

BEGIN = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '4s'"
"""A client that freezes within a transaction does not keep its locks."""

NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The store's clock, in SQL: microseconds since 1970."""

_AWAY = ("08", "40", "53", "57", "58", "25006", "25P03", "28", "3D000", "55P03")
"""SQLSTATE classes and codes that are the server's trouble: connection, rolled back by the server, resources, shutdown,
disk; read-only, timed out, login, no such database, locked."""

P = ParamSpec("P")
T = TypeVar("T")


class Connection(Protocol):
    """What we use of asyncpg's connection."""

    async def execute(self, query: str, *args: Any) -> str: ...
    async def fetch(self, query: str, *args: Any) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    async def add_listener(self, channel: str, callback: Callable[[Any, int, str, str], None]) -> None: ...
    def add_termination_listener(self, callback: Callable[[Any], None]) -> None: ...


class Connections:
    """The connections of one process to the server at `address`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pool: Any = None
        self._away_since: float | None = None
        self.pooled = False
        """Whether a pooler stands between, found out by `start`."""

    async def start(self, check: Callable[[Connection], Awaitable[None]]) -> None:
        """Connects, lets `check` look at the server, and opens the pool. Raises StoreAway."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE), self.own(statement_cache_size=0) as connection:
                self.pooled = await _behind_pooler(connection)
            async with self.own() as connection:
                await check(connection)
        except Exception as error:
            if (why := away(error)) is None:
                raise
            raise StoreAway(f"PostgreSQL at {self._address.shown} cannot be used: {why}") from None
        self._pool = await asyncpg.create_pool(
            self._address.dsn,
            min_size=0,
            max_size=self._address.connections,
            reset=_leave_as_it_is,
            timeout=PATIENCE,
            **self._options,
        )

    async def stop(self) -> None:
        """Closes all; calls under way are over by then."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def call(
        self, job: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `job` answers on a connection of its own for as long. It is begun again when the connection is lost, so
        it must be harmless twice. Raises StoreAway."""
        return await self._patiently(job, False, *args, **kwargs)

    async def transact(
        self, job: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same within a transaction."""
        return await self._patiently(job, True, *args, **kwargs)

    @asynccontextmanager
    async def own(self, **options: Any) -> AsyncGenerator[Connection]:
        """A connection outside the pool, closed at the end."""
        made: Any = await asyncpg.connect(self._address.dsn, timeout=PATIENCE, **(self._options | options))
        try:
            yield made
        finally:
            made.terminate()

    @property
    def _options(self) -> dict[str, Any]:
        return {"statement_cache_size": 0} if self.pooled else {}

    async def _patiently(
        self, job: Callable[..., Awaitable[T]], atomic: bool, *args: Any, **kwargs: Any
    ) -> T:
        loop = asyncio.get_running_loop()
        ends, pause = loop.time() + PATIENCE, PAUSE_FIRST
        while True:
            try:
                async with asyncio.timeout_at(ends), self._lent() as connection:
                    answer = await _run(connection, job, atomic or self.pooled, *args, **kwargs)
                self._away_since = None
                return answer
            except Exception as error:
                why = away(error)
                if why is None:
                    raise
            at = loop.time()
            self._away_since = self._away_since or at
            if at + pause > ends or at - self._away_since > PATIENCE:
                raise StoreAway(f"PostgreSQL: {why}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MOST)

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Connection]:
        if asyncio.get_running_loop() is not self._loop:
            async with self.own() as connection:
                yield connection
            return
        connection: Any = await self._pool.acquire()
        try:
            yield connection
        except BaseException as error:
            if not isinstance(error, (asyncpg.PostgresError, asyncpg.DataError)):
                connection.terminate()  # nobody knows what is on its way: the next call gets a fresh one
            raise
        finally:
            await self._pool.release(connection)


def away(error: Exception) -> str | None:
    """Why the server cannot be used, in words safe to show; None where the error is not the server's trouble."""
    if isinstance(error, asyncpg.PostgresError):
        code = str(getattr(error, "sqlstate", None) or "")
        return str(error.args[0]) if code.startswith(_AWAY) else None
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, (asyncpg.DataError, asyncpg.exceptions.ClientConfigurationError)):
        return None
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    if isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return " ".join(str(error).split()) or type(error).__name__
    return None


async def _run(
    connection: Connection, job: Callable[..., Awaitable[T]], atomic: bool, *args: Any, **kwargs: Any
) -> T:
    if not atomic:
        return await job(connection, *args, **kwargs)
    await connection.execute(BEGIN)
    try:
        answer = await job(connection, *args, **kwargs)
    except (asyncpg.PostgresError, asyncpg.DataError):
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
    return answer


async def _behind_pooler(connection: Any) -> bool:
    """A pooler answers with a process id of its own making."""
    await connection.execute("BEGIN")
    real = await connection.fetchval("SELECT pg_backend_pid()")
    await connection.execute("COMMIT")
    return connection.get_server_pid() != real


async def _leave_as_it_is(connection: Any) -> None:
    """Nothing of a session is ever changed, so there is nothing to reset: a round trip less for each call."""
