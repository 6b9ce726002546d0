"""The whole SQLite file at one moment, for an audit: a reader of its own, inside one read transaction.

While it is open the write-ahead log cannot be cut off before it, so it is let go of as soon as the walk is over.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from posthouse.store.base import Beside, Kept, Snapshot, Stray
from posthouse.store.campaign import campaign_of
from posthouse.store.sqlite.messages import now
from posthouse.store.sqlite.statements import decode_record
from posthouse.store.sqlite.writer import away, connect
from posthouse.store.tally import Spot

BESIDE = ("created_at", "status", "state", "lane", "campaign", "due_at", "owner", "expires_at", "losses")
"""The columns of `messages` that repeat an attribute of the record."""

WALK = f"""
SELECT record, EXISTS (SELECT 1 FROM contents WHERE contents.seq = messages.seq), {", ".join(BESIDE)}
FROM messages WHERE seq > ifnull((SELECT seq FROM messages WHERE id = ?), 0) ORDER BY seq LIMIT ?"""

_GONE = "NOT EXISTS (SELECT 1 FROM messages WHERE messages"
STRAYS: tuple[tuple[str, str], ...] = (
    ("content", f"SELECT seq FROM contents WHERE {_GONE}.seq = contents.seq)"),
    ("content", f"SELECT seq FROM heads WHERE {_GONE}.seq = heads.seq)"),
    ("recipient", f"SELECT DISTINCT seq FROM recipients WHERE {_GONE}.seq = recipients.seq)"),
    ("tag", f"SELECT DISTINCT seq FROM tags WHERE {_GONE}.seq = tags.seq)"),
    ("key", f"SELECT id FROM keys WHERE expires_at > :now AND {_GONE}.id = keys.id)"),
)
"""What is kept for a record, and how to find where there is none: by the record's place or id."""

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def opened(path: str) -> AsyncGenerator[Snapshot]:
    """The file as it is now, until the context ends."""
    connection = await asyncio.to_thread(_begin, path)
    try:
        yield _SqliteSnapshot(connection)
    finally:
        connection.close()


class _SqliteSnapshot:
    """Snapshot (see store.base) on a connection of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def walk(self, after: str | None, limit: int) -> list[Kept]:
        return await self._ask(_walk, after, limit)

    async def counters(self) -> dict[tuple[str, int], int]:
        return await self._ask(_counters)

    async def campaigns(self) -> Beside | None:
        return await self._ask(_campaigns)

    async def strays(self, limit: int) -> list[Stray]:
        return await self._ask(_strays, limit)

    async def _ask(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            return await asyncio.to_thread(query, self._connection, *args, **kwargs)
        except sqlite3.Error as error:
            raise away(error) from None


def _begin(path: str) -> sqlite3.Connection:
    try:
        connection = connect(path, read_only=True)
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM facts").fetchone()  # what is seen is what stands at the first read
        return connection
    except sqlite3.Error as error:
        raise away(error) from None


def _walk(connection: sqlite3.Connection, after: str | None, limit: int) -> list[Kept]:
    return [_kept(*row) for row in connection.execute(WALK, (after, limit))]


def _kept(record: str, content: int, *columns: Any) -> Kept:
    beside: dict[str, Any] = dict(zip(BESIDE, columns, strict=True))
    beside["campaign"] = beside["campaign"] or None
    if beside["campaign"] is None:
        del beside["state"]
    return Kept(decode_record(record), beside, bool(content))


def _counters(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    rows = connection.execute("SELECT name, bucket, n FROM counters WHERE n <> 0")
    return {(name, bucket): n for name, bucket, n in rows}


def _campaigns(connection: sqlite3.Connection) -> Beside:
    campaigns = connection.execute("SELECT record, completed_at FROM campaigns ORDER BY id")
    spots = connection.execute(
        "SELECT campaign, domain, state, category, n - gone FROM shares WHERE n <> gone"
    )
    audience = connection.execute("SELECT campaign, count(*) FROM audience GROUP BY campaign")
    return Beside(
        [campaign_of(*row) for row in campaigns], {Spot(*spot): n for *spot, n in spots}, dict(audience)
    )


def _strays(connection: sqlite3.Connection, limit: int) -> list[Stray]:
    found: list[Stray] = []
    for kind, query in STRAYS:
        values = {"now": now(), "room": limit - len(found)}
        found += [Stray(kind, str(name)) for (name,) in connection.execute(f"{query} LIMIT :room", values)]
    return found
