"""An audience that is elsewhere: people by role from a database that is already there (POSTHOUSE_AUDIENCE_URL and _SQL).

Rules: the query is the operator's, and the roles are bound to its $1; it runs in a transaction that can only read, and is read
in slices. It gives `email`, may give `name`, and every other column is an attribute. Who has no usable address is passed over,
and counted in the log. Whatever is wrong with that database is StoreAway: the campaign waits, and begins to read anew; who was
read before stays in its audience.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from time import monotonic as elapsed
from typing import Any, Protocol, cast
from urllib.parse import quote, unquote, urlsplit

import structlog

from posthouse.mail.address import MAX_NAME, normalise
from posthouse.mail.campaign import Person
from posthouse.mail.errors import BadAddress, StoreAway

SLICE = 500
"""People that are read at once."""
CONNECT_SECONDS = 5.0
COUNT_SECONDS = 3.0
"""What counting them may take."""
SLICE_SECONDS = 300.0
"""What each slice may take, the first of which is behind all the work of the query."""
STEPS = 10_000
"""Steps of SQLite's machine between two looks at the time."""

SQL = "POSTHOUSE_AUDIENCE_SQL"
COUNT = "SELECT count(*) FROM (SELECT 1 FROM ({}\n) AS audience GROUP BY lower(email)) AS people"

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

    def rows(self, roles: Sequence[str]) -> AsyncGenerator[Sequence[Row]]:
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


async def people(audience: Audience, roles: Sequence[str]) -> AsyncGenerator[Sequence[Person]]:
    """The same as people, each with what a template may know of them."""
    passed_over = 0
    async with aclosing(audience.rows(roles)) as slices:
        async for rows in slices:
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
        async with self._lent() as connection:
            try:
                statement = await connection.prepare(self._sql)
                _require_email(each.name for each in statement.get_attributes())
                await connection.prepare(COUNT.format(self._sql))
            except _asyncpg().SyntaxOrAccessError as error:
                raise BadAudience(f"{SQL}: {error}") from None
            given = statement.get_parameters()
            if len(given) > 1:
                raise BadAudience(f"{SQL}: has parameters beside $1, the roles")
            if any(each.kind != "array" for each in given):
                raise BadAudience(f"{SQL}: its $1 must be an array, as in role = ANY($1)")

    async def count(self, roles: Sequence[str]) -> int:
        async with self._lent() as connection:
            await connection.execute(f"SET LOCAL statement_timeout = '{COUNT_SECONDS:g}s'")
            statement = await connection.prepare(COUNT.format(self._sql))
            return await statement.fetchval(*_bound(statement, roles))

    async def rows(self, roles: Sequence[str]) -> AsyncGenerator[Sequence[Row]]:
        async with self._lent() as connection:
            statement = await connection.prepare(self._sql)
            cursor = await statement.cursor(*_bound(statement, roles), timeout=SLICE_SECONDS)
            while records := await cursor.fetch(SLICE, timeout=SLICE_SECONDS):
                yield [dict(each) for each in records]

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Any]:
        """A connection within a transaction that can only read. Raises StoreAway for whatever is wrong with it."""
        asyncpg = _asyncpg()
        try:
            connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield connection
            finally:
                await connection.close(timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreAway(f"the audience's PostgreSQL: {error or type(error).__name__}") from None


class SqliteAudience:
    """In a SQLite file; the roles are a JSON array: `WHERE role IN (SELECT value FROM json_each($1))`."""

    def __init__(self, path: str, sql: str) -> None:
        self._path, self._sql = path, sql

    async def check(self) -> None:
        def look() -> None:
            with closing(self._connect()) as connection:
                try:
                    found = connection.execute(f"SELECT * FROM ({self._sql}\n) LIMIT 0", _json([]))
                    _require_email(column[0] for column in found.description)
                    connection.execute(f"{COUNT.format(self._sql)} LIMIT 0", _json([]))
                except sqlite3.ProgrammingError:
                    raise BadAudience(f"{SQL}: has parameters beside $1, the roles") from None
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                        raise BadAudience(f"{SQL}: {error}") from None
                    raise

        with _file_troubles():
            await asyncio.to_thread(look)

    async def count(self, roles: Sequence[str]) -> int:
        def look() -> int:
            with closing(self._connect()) as connection:
                ends = elapsed() + COUNT_SECONDS
                connection.set_progress_handler(lambda: elapsed() > ends, STEPS)
                return connection.execute(COUNT.format(self._sql), _json(roles)).fetchone()[0]

        with _file_troubles():
            return await asyncio.to_thread(look)

    async def rows(self, roles: Sequence[str]) -> AsyncGenerator[Sequence[Row]]:
        with _file_troubles():
            connection = await asyncio.to_thread(self._connect)
            with closing(connection):
                cursor = await asyncio.to_thread(connection.execute, self._sql, _json(roles))
                names = [column[0] for column in cursor.description]
                while rows := await asyncio.to_thread(cursor.fetchmany, SLICE):
                    yield [dict(zip(names, row, strict=True)) for row in rows]

    def _connect(self) -> sqlite3.Connection:
        file = f"file:{quote(self._path)}?mode=ro"
        connection = sqlite3.connect(file, uri=True, check_same_thread=False, timeout=CONNECT_SECONDS)
        connection.text_factory = _text
        return connection


def _bound(statement: Any, roles: Sequence[str]) -> list[Any]:
    return [list(roles)] if statement.get_parameters() else []


def _json(roles: Sequence[str]) -> dict[str, str]:
    return {"1": json.dumps(list(roles))}


def _text(octets: bytes) -> str:
    """What SQLite calls text need not be any: one such cell is not to stop the others."""
    return octets.decode(errors="replace")


def _person(row: Row) -> Person | None:
    try:
        email = normalise(str(row.get("email") or "").strip())
    except BadAddress:
        return None
    name = "".join(each for each in str(row.get("name") or "") if each.isprintable())[:MAX_NAME]
    beside = {key: _plain(value) for key, value in row.items() if key not in ("email", "name")}
    return Person(email, name, (), {key: value for key, value in beside.items() if value is not None})


def _plain(value: Any) -> Any:
    """As JSON has it: what it does not know is text."""
    if isinstance(value, list):
        return [_plain(each) for each in cast(list[Any], value)]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _require_email(columns: Iterable[str]) -> None:
    if "email" not in columns:
        raise BadAudience(f"{SQL}: gives no column named email")


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
