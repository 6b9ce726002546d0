"""The whole store at one moment, for an audit: a connection of its own, in one REPEATABLE READ transaction.

While it is open no row version younger than it can be vacuumed away, so it is let go of as soon as the walk is over.
"""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from posthouse.mail.errors import StoreAway
from posthouse.store.base import Beside, Kept, Snapshot, Stray
from posthouse.store.campaign import campaign_of
from posthouse.store.postgres.connection import NOW, Connection, Connections, away
from posthouse.store.postgres.records import unpack
from posthouse.store.tally import Spot

BESIDE = ("created_at", "status", "state", "lane", "campaign", "due_at", "owner", "expires_at", "losses")
"""The columns of `messages` that repeat an attribute of the record."""

WALK = f"""
SELECT record, EXISTS (SELECT FROM contents WHERE contents.seq = messages.seq) AS content, {", ".join(BESIDE)}
FROM messages WHERE seq > coalesce((SELECT seq FROM messages WHERE id = $1), 0) ORDER BY seq LIMIT $2"""
SPOTS = """SELECT campaign, domain, state, category, sum(n - gone)::bigint FROM shares
  GROUP BY campaign, domain, state, category HAVING sum(n - gone) <> 0"""
CAMPAIGNS = "SELECT record, completed_at FROM campaigns ORDER BY id"
AUDIENCE = "SELECT campaign, count(*) FROM audience GROUP BY campaign"
COUNTERS = "SELECT name, bucket, sum(n)::bigint AS n FROM counters GROUP BY name, bucket HAVING sum(n) <> 0"

_GONE = "NOT EXISTS (SELECT FROM messages WHERE messages"
STRAYS: tuple[tuple[str, str], ...] = (
    ("content", f"SELECT seq AS name FROM contents WHERE {_GONE}.seq = contents.seq)"),
    ("content", f"SELECT seq AS name FROM heads WHERE {_GONE}.seq = heads.seq)"),
    ("recipient", f"SELECT DISTINCT seq AS name FROM recipients WHERE {_GONE}.seq = recipients.seq)"),
    ("tag", f"SELECT DISTINCT seq AS name FROM tags WHERE {_GONE}.seq = tags.seq)"),
    ("key", f"SELECT id AS name FROM keys WHERE expires_at > {NOW} AND {_GONE}.id = keys.id)"),
)
"""What is kept for a record, and how to find where there is none: by the record's place or id."""

T = TypeVar("T")


@asynccontextmanager
async def opened(connections: Connections) -> AsyncGenerator[Snapshot]:
    """The store as it is now, until the context ends."""
    async with connections.own() as connection:
        await _told(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        await _told(
            connection.execute("SELECT 1 FROM facts")
        )  # what is seen is what stands at the first read
        yield _PostgresSnapshot(connection)


class _PostgresSnapshot:
    """Snapshot (see store.base) on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def walk(self, after: str | None, limit: int) -> list[Kept]:
        return [_kept(row) for row in await _told(self._connection.fetch(WALK, after, limit))]

    async def counters(self) -> dict[tuple[str, int], int]:
        return {
            (row["name"], row["bucket"]): row["n"] for row in await _told(self._connection.fetch(COUNTERS))
        }

    async def campaigns(self) -> Beside | None:
        campaigns = await _told(self._connection.fetch(CAMPAIGNS))
        spots = await _told(self._connection.fetch(SPOTS))
        audience = await _told(self._connection.fetch(AUDIENCE))
        return Beside(
            [campaign_of(*row) for row in campaigns], {Spot(*spot): n for *spot, n in spots}, dict(audience)
        )

    async def strays(self, limit: int) -> list[Stray]:
        found: list[Stray] = []
        for kind, query in STRAYS:
            rows = await _told(self._connection.fetch(f"{query} LIMIT $1", limit - len(found)))
            found += [Stray(kind, str(row["name"])) for row in rows]
        return found


def _kept(row: Any) -> Kept:
    beside = {name: row[name] for name in BESIDE}
    beside["campaign"] = beside["campaign"] or None
    if beside["campaign"] is None:
        del beside["state"]
    return Kept(unpack(row), beside, row["content"])


async def _told(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except Exception as error:
        if (why := away(error)) is None:
            raise
        raise StoreAway(f"PostgreSQL: {why}") from None
