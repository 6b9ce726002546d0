"""The whole store at one moment, for an audit: a connection of its own, in one REPEATABLE READ transaction.

While it is open no row version younger than it can be vacuumed away, so it is let go of as soon as the walk is over.
"""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from posthouse.mail.errors import StoreAway
from posthouse.store.postgres.connection import NOW, Connection, Connections, away
from posthouse.store.postgres.kept import SUMS, both
from posthouse.store.postgres.records import unpack
from posthouse.store.snapshot import Beside, Kept, KeptCampaign, Kind, Name, Roster, Snapshot, Stray

BESIDE = ("created_at", "status", "state", "lane", "campaign", "due_at", "owner", "expires_at", "losses")
"""The columns of `messages` that repeat an attribute of the record."""

OF_CAMPAIGN = ("id", "created_at", "phase", "priority", "scheduled_at", "template")
"""The same of `campaigns`."""

WALK = f"""
SELECT seq, record, EXISTS (SELECT FROM contents WHERE contents.seq = messages.seq) AS content, {", ".join(BESIDE)}
FROM messages WHERE seq > coalesce((SELECT seq FROM messages WHERE id = $1), 0) ORDER BY seq LIMIT $2"""

ENTRIES: dict[Kind, str] = {
    "counter": """SELECT name, bucket, sum(n)::bigint FROM counters WHERE (name, bucket) > ($1, $2)
      GROUP BY name, bucket HAVING sum(n) <> 0 ORDER BY name, bucket LIMIT $3""",
    "share": """SELECT campaign, domain, state, category, sum(n - gone)::bigint FROM shares
      WHERE (campaign, domain, state, category) > ($1, $2, $3, $4)
      GROUP BY campaign, domain, state, category HAVING sum(n - gone) <> 0
      ORDER BY campaign, domain, state, category LIMIT $5""",
    "recipient": "SELECT email, seq, 1 FROM recipients WHERE (email, seq) > ($1, $2) ORDER BY email, seq LIMIT $3",
    "tag": "SELECT tag, seq, 1 FROM tags WHERE (tag, seq) > ($1, $2) ORDER BY tag, seq LIMIT $3",
}
FIRST: dict[Kind, Name] = {"counter": ("", 0), "share": ("",) * 4, "recipient": ("", 0), "tag": ("", 0)}
"""A name before all others."""

CAMPAIGNS = f"""
SELECT kept.*, CASE waiting WHEN 0 THEN 0 ELSE (
    SELECT count(*) FROM audience JOIN recipients ON recipients.email = address JOIN messages USING (seq)
    WHERE audience.campaign = kept.id AND messages.campaign = kept.id) END AS twice
FROM (SELECT {", ".join(OF_CAMPAIGN)}, record, completed_at, ({SUMS}) AS sums,
    (SELECT count(*) FROM audience WHERE campaign = campaigns.id) AS waiting,
    (SELECT count(*) FROM given WHERE campaign = campaigns.id) AS given
  FROM campaigns WHERE id > $1 ORDER BY id LIMIT $2) AS kept ORDER BY id"""

ROSTER = (
    "SELECT role, n FROM contact_counts WHERE n <> 0",
    "SELECT role, count(*) FROM contact_roles GROUP BY role",
    "SELECT named, count(*) FROM contacts, json_array_elements_text(roles::json) AS named GROUP BY named",
    """SELECT role, count(*) FROM contacts, json_array_elements_text(roles::json) AS named
      JOIN contact_roles ON contact_roles.role = named WHERE contact_roles.key = contacts.key GROUP BY role""",
)
EVERYBODY = "SELECT count(*) FROM contacts"

_NO_RECORD = "NOT EXISTS (SELECT FROM messages WHERE messages"
_NO_CAMPAIGN = "NOT EXISTS (SELECT FROM campaigns WHERE campaigns.id"
STRAYS: tuple[tuple[str, str, str], ...] = (
    ("content", "record", f"SELECT seq AS name FROM contents WHERE {_NO_RECORD}.seq = contents.seq)"),
    ("content", "record", f"SELECT seq AS name FROM heads WHERE {_NO_RECORD}.seq = heads.seq)"),
    ("key", "record", f"SELECT id AS name FROM keys WHERE expires_at > {NOW} AND {_NO_RECORD}.id = keys.id)"),
    (
        "notice",
        "record",
        f"SELECT id AS name FROM notices WHERE id IS NOT NULL AND {_NO_RECORD}.id = notices.id)",
    ),
    (
        "mail",
        "campaign",
        f"""SELECT DISTINCT campaign AS name FROM messages
          WHERE campaign <> '' AND {_NO_CAMPAIGN} = messages.campaign)""",
    ),
    (
        "recipient",
        "campaign",
        f"SELECT DISTINCT campaign AS name FROM audience WHERE {_NO_CAMPAIGN} = audience.campaign)",
    ),
)
"""What is kept for something, what that is, and how to find where there is none: by its place or id."""

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
    """Snapshot (see store.snapshot) on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def walk(self, after: str | None, limit: int) -> list[Kept]:
        return [_kept(row) for row in await _told(self._connection.fetch(WALK, after, limit))]

    async def kinds(self) -> list[Kind]:
        return list(ENTRIES)

    async def beside(self, kind: Kind, after: Name | None, limit: int) -> list[Beside]:
        rows = await _told(self._connection.fetch(ENTRIES[kind], *(after or FIRST[kind]), limit))
        return [(tuple(name), n) for *name, n in rows]

    async def campaigns(self, after: str | None, limit: int) -> list[KeptCampaign]:
        return [_campaign(row) for row in await _told(self._connection.fetch(CAMPAIGNS, after or "", limit))]

    async def roster(self) -> Roster:
        everybody = await _told(self._connection.fetchval(EVERYBODY))
        counted, *kept = [dict(await _told(self._connection.fetch(query))) for query in ROSTER]
        return Roster(counted, *({**each, "*": everybody} if everybody else each for each in kept))

    async def strays(self, limit: int) -> list[Stray]:
        found: list[Stray] = []
        for kind, of, query in STRAYS:
            rows = await _told(self._connection.fetch(f"{query} LIMIT $1", limit - len(found)))
            found += [Stray(kind, str(row["name"]), of) for row in rows]
        return found


def _kept(row: Any) -> Kept:
    beside = {name: row[name] for name in BESIDE}
    beside["campaign"] = beside["campaign"] or None
    if beside["campaign"] is None:
        del beside["state"]
    return Kept(unpack(row), beside, row["content"], row["seq"])


def _campaign(row: Any) -> KeptCampaign:
    beside = {name: row[name] for name in OF_CAMPAIGN}
    campaign, counts = both(row)
    return KeptCampaign(campaign, beside, counts, row["waiting"], row["twice"], row["given"])


async def _told(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except Exception as error:
        if (why := away(error)) is None:
            raise
        raise StoreAway(f"PostgreSQL: {why}") from None
