"""An audience that is elsewhere: people by role from a database that is already there (POSTHOUSE_AUDIENCE_URL and _SQL).

Rules: the query is the operator's, and the roles are bound to its $1; it runs in a transaction that can only read, and is read
in slices. It gives `email`, may give `name`, and every other column is an attribute. Who has no usable address is passed over,
and counted in the log. Whatever is wrong with that database is StoreAway: the campaign waits, and begins to read anew; who was
read before stays in its audience.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from posthouse.mail.address import normalise
from posthouse.mail.campaign import Person
from posthouse.mail.errors import BadAddress, StoreAway

SLICE = 500
"""People that are read at once."""
CONNECT_SECONDS = 5.0
COUNT_SECONDS = 3.0
"""What counting them may take."""
STEPS = 10_000
"""Steps of SQLite's machine between two looks at the time."""

Row = dict[str, Any]


class BadAudience(Exception):
    """A query that can never give an audience; the text says why."""


class Audience(Protocol):
    """See the module."""

    async def check(self) -> None:
        """Returns if the query can be used. Raises BadAudience, StoreAway."""
        ...

    async def count(self, roles: Sequence[str]) -> int:
        """How many addresses it gives now. Raises StoreAway, also where that takes too long."""
        ...

    def rows(self, roles: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        """What it gives, in slices. Raises StoreAway."""
        ...


def open_audience(url: str, sql: str) -> Audience:
    """The database of a URL; raises ValueError naming what is not understood."""
    scheme = urlsplit(url).scheme
    sql = sql.strip().rstrip(";")
    if scheme in ("postgresql", "postgres"):
        return PostgresAudience(url, sql)
    if scheme == "sqlite" and url.startswith("sqlite:///"):
        return SqliteAudience(unquote(url.removeprefix("sqlite:///")), sql)
    raise ValueError("POSTHOUSE_AUDIENCE_URL: must be postgresql://… or sqlite:///…")


async def people(audience: Audience, roles: Sequence[str]) -> AsyncIterator[Sequence[Person]]:
    """The same as people, each with what a template may know of them."""
    passed_over = 0
    async for rows in audience.rows(roles):
        found = [person for row in rows if (person := _person(row)) is not None]
        passed_over += len(rows) - len(found)
        yield found
    if passed_over:
        structlog.get_logger("delivery").warning(
            "of an audience some have no usable address", count=passed_over, roles=list(roles)
        )


class PostgresAudience:
    """In PostgreSQL; the roles are an array of text: `WHERE '*' = ANY($1) OR role = ANY($1)`."""

    def __init__(self, url: str, sql: str) -> None:
        self._url, self._sql = url, sql

    async def check(self) -> None:
        async with self._lent() as connection, _troubles():
            statement = await _prepared(connection, self._sql)
            if len(statement.get_parameters()) > 1:
                raise BadAudience("POSTHOUSE_AUDIENCE_SQL: has parameters beside $1, the roles")
            _require_email(each.name for each in statement.get_attributes())

    async def count(self, roles: Sequence[str]) -> int:
        async with self._lent() as connection, _troubles():
            await connection.execute(f"SET LOCAL statement_timeout = '{COUNT_SECONDS:g}s'")
            query = f"SELECT count(DISTINCT lower(email)) FROM ({self._sql}) AS audience"
            return await connection.fetchval(query, *self._bound(roles))

    async def rows(self, roles: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        async with self._lent() as connection, _troubles():
            cursor = await connection.cursor(self._sql, *self._bound(roles))
            while records := await cursor.fetch(SLICE):
                yield [dict(each) for each in records]

    def _bound(self, roles: Sequence[str]) -> list[Any]:
        return [list(roles)] if "$1" in self._sql else []

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Any]:
        """A connection within a transaction that can only read."""
        async with _troubles():
            asyncpg = _asyncpg()
            connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)


class SqliteAudience:
    """In a SQLite file; the roles are a JSON array: `WHERE role IN (SELECT value FROM json_each($1))`."""

    def __init__(self, path: str, sql: str) -> None:
        self._path, self._sql = path, sql

    async def check(self) -> None:
        def look() -> None:
            with closing(self._connect()) as connection:
                try:
                    found = connection.execute(f"SELECT * FROM ({self._sql}) LIMIT 0", _json([]))
                except sqlite3.OperationalError as error:
                    raise BadAudience(f"POSTHOUSE_AUDIENCE_SQL: {error}") from None
                _require_email(column[0] for column in found.description)

        with _file_troubles():
            await asyncio.to_thread(look)

    async def count(self, roles: Sequence[str]) -> int:
        def look() -> int:
            with closing(self._connect()) as connection:
                left = [int(COUNT_SECONDS * 1_000)]
                connection.set_progress_handler(lambda: _spent(left), STEPS)
                query = f"SELECT count(DISTINCT lower(email)) FROM ({self._sql})"
                return connection.execute(query, _json(roles)).fetchone()[0]

        with _file_troubles():
            return await asyncio.to_thread(look)

    async def rows(self, roles: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        with _file_troubles():
            connection = await asyncio.to_thread(self._connect)
            with closing(connection):
                cursor = await asyncio.to_thread(connection.execute, self._sql, _json(roles))
                names = [column[0] for column in cursor.description]
                while rows := await asyncio.to_thread(cursor.fetchmany, SLICE):
                    yield [dict(zip(names, row, strict=True)) for row in rows]

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, check_same_thread=False)


def _spent(left: list[int]) -> bool:
    """Stops a query that has taken its steps: SQLite makes about so many in the time."""
    left[0] -= 1
    return left[0] < 0


def _json(roles: Sequence[str]) -> dict[str, str]:
    return {"1": json.dumps(list(roles))}


def _person(row: Row) -> Person | None:
    try:
        email = normalise(str(row.get("email") or "").strip())
    except BadAddress:
        return None
    name = "".join(each for each in str(row.get("name") or "") if each.isprintable())
    beside = {key: _plain(value) for key, value in row.items() if key not in ("email", "name")}
    return Person(email, name, (), {key: value for key, value in beside.items() if value is not None})


def _plain(value: Any) -> Any:
    """As JSON has it: what it does not know is text."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _require_email(columns: Iterable[str]) -> None:
    if "email" not in columns:
        raise BadAudience("POSTHOUSE_AUDIENCE_SQL: gives no column named email")


async def _prepared(connection: Any, sql: str) -> Any:
    try:
        return await connection.prepare(sql)
    except _asyncpg().PostgresSyntaxError as error:
        raise BadAudience(f"POSTHOUSE_AUDIENCE_SQL: {error}") from None
    except _asyncpg().UndefinedTableError as error:
        raise BadAudience(f"POSTHOUSE_AUDIENCE_SQL: {error}") from None


@asynccontextmanager
async def _troubles() -> AsyncGenerator[None]:
    asyncpg = _asyncpg()
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreAway(f"the audience's PostgreSQL: {error or type(error).__name__}") from None


@contextmanager
def _file_troubles() -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreAway(f"the audience's SQLite: {error}") from None


def _asyncpg() -> Any:
    try:
        import asyncpg  # pyright: ignore[reportMissingTypeStubs]
    except ModuleNotFoundError:
        raise ValueError(
            "POSTHOUSE_AUDIENCE_URL: PostgreSQL needs an extra: pip install posthouse[postgres]"
        ) from None
    return asyncpg
