"""The whole SQLite file at one moment, for an audit: a reader of its own, inside one read transaction.

While it is open the write-ahead log cannot be cut off before it, so it is let go of as soon as the walk is over.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from posthouse.store.campaign import given_name
from posthouse.store.snapshot import Beside, Kept, KeptCampaign, Kind, Name, Roster, Snapshot, Stray
from posthouse.store.sqlite.kept import SUMS, both
from posthouse.store.sqlite.messages import now
from posthouse.store.sqlite.statements import decode_record
from posthouse.store.sqlite.writer import away, connect

BESIDE = ("created_at", "status", "state", "lane", "campaign", "due_at", "owner", "expires_at", "losses")
"""The columns of `messages` that repeat an attribute of the record."""

OF_CAMPAIGN = ("id", "created_at", "phase", "priority", "scheduled_at", "template")
"""The same of `campaigns`."""

WALK = f"""
SELECT seq, record, EXISTS (SELECT 1 FROM contents WHERE contents.seq = messages.seq), {", ".join(BESIDE)}
FROM messages WHERE seq > ifnull((SELECT seq FROM messages WHERE id = ?), 0) ORDER BY seq LIMIT ?"""

ENTRIES: dict[Kind, str] = {
    "counter": """SELECT name, bucket, n FROM counters WHERE (name, bucket) > (?, ?) AND n <> 0
      ORDER BY name, bucket LIMIT ?""",
    "share": """SELECT campaign, domain, state, category, n - gone FROM shares
      WHERE (campaign, domain, state, category) > (?, ?, ?, ?) AND n <> gone
      ORDER BY campaign, domain, state, category LIMIT ?""",
    "recipient": "SELECT email, seq, 1 FROM recipients WHERE (email, seq) > (?, ?) ORDER BY email, seq LIMIT ?",
    "tag": "SELECT tag, seq, 1 FROM tags WHERE (tag, seq) > (?, ?) ORDER BY tag, seq LIMIT ?",
}
FIRST: dict[Kind, Name] = {"counter": ("", 0), "share": ("",) * 4, "recipient": ("", 0), "tag": ("", 0)}
"""A name before all others."""

CAMPAIGNS = f"""
SELECT kept.*,
  CASE waiting WHEN 0 THEN 0 ELSE (SELECT count(*) FROM audience JOIN recipients ON recipients.email = address
    JOIN messages USING (seq) WHERE audience.campaign = kept.id AND messages.campaign = kept.id) END
FROM (SELECT {", ".join(OF_CAMPAIGN)}, record, completed_at, ({SUMS}) AS sums,
    (SELECT count(*) FROM audience WHERE campaign = campaigns.id) AS waiting
  FROM campaigns WHERE id > ? ORDER BY id LIMIT ?) AS kept ORDER BY id"""
GIVEN = "SELECT count(*) FROM given WHERE campaign = ?"

ROSTER = (
    "SELECT role, n FROM contact_counts WHERE n <> 0",
    "SELECT role, count(*) FROM contact_roles GROUP BY role",
    "SELECT value, count(*) FROM contacts, json_each(roles) GROUP BY value",
    """SELECT value, count(*) FROM contacts, json_each(roles) AS named
      JOIN contact_roles ON contact_roles.role = value AND contact_roles.key = contacts.key GROUP BY value""",
)
EVERYBODY = "SELECT '*', count(*) FROM contacts"

_NO_RECORD = "NOT EXISTS (SELECT 1 FROM messages WHERE messages"
_NO_CAMPAIGN = "NOT EXISTS (SELECT 1 FROM campaigns WHERE campaigns.id"
STRAYS: tuple[tuple[str, str, str], ...] = (
    ("content", "record", f"SELECT seq FROM contents WHERE {_NO_RECORD}.seq = contents.seq)"),
    ("content", "record", f"SELECT seq FROM heads WHERE {_NO_RECORD}.seq = heads.seq)"),
    ("key", "record", f"SELECT id FROM keys WHERE expires_at > :now AND {_NO_RECORD}.id = keys.id)"),
    ("notice", "record", f"SELECT id FROM notices WHERE id IS NOT NULL AND {_NO_RECORD}.id = notices.id)"),
    (
        "mail",
        "campaign",
        f"SELECT DISTINCT campaign FROM messages WHERE campaign <> '' AND {_NO_CAMPAIGN} = messages.campaign)",
    ),
    (
        "recipient",
        "campaign",
        f"SELECT DISTINCT campaign FROM audience WHERE {_NO_CAMPAIGN} = audience.campaign)",
    ),
)
"""What is kept for something, what that is, and how to find where there is none: by its place or id."""

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
    """Snapshot (see store.snapshot) on a connection of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def walk(self, after: str | None, limit: int) -> list[Kept]:
        return await self._ask(_walk, after, limit)

    async def kinds(self) -> list[Kind]:
        return list(ENTRIES)

    async def beside(self, kind: Kind, after: Name | None, limit: int) -> list[Beside]:
        return await self._ask(_beside, kind, after, limit)

    async def campaigns(self, after: str | None, limit: int) -> list[KeptCampaign]:
        return await self._ask(_campaigns, after, limit)

    async def roster(self) -> Roster | None:
        return await self._ask(_roster)

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
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM facts").fetchone()  # what is seen is what stands at the first read
        return connection
    except sqlite3.Error as error:
        raise away(error) from None


def _walk(connection: sqlite3.Connection, after: str | None, limit: int) -> list[Kept]:
    return [_kept(*row) for row in connection.execute(WALK, (after, limit))]


def _kept(seq: int, record: str, content: int, *columns: Any) -> Kept:
    beside: dict[str, Any] = dict(zip(BESIDE, columns, strict=True))
    beside["campaign"] = beside["campaign"] or None
    if beside["campaign"] is None:
        del beside["state"]
    return Kept(decode_record(record), beside, bool(content), seq)


def _beside(connection: sqlite3.Connection, kind: Kind, after: Name | None, limit: int) -> list[Beside]:
    rows = connection.execute(ENTRIES[kind], (*(after or FIRST[kind]), limit))
    return [(tuple(name), n) for *name, n in rows]


def _campaigns(connection: sqlite3.Connection, after: str | None, limit: int) -> list[KeptCampaign]:
    return [
        _campaign(connection, *row) for row in connection.execute(CAMPAIGNS, (after or "", limit)).fetchall()
    ]


def _campaign(connection: sqlite3.Connection, *row: Any) -> KeptCampaign:
    *columns, record, completed_at, sums, waiting, twice = row
    campaign, counts = both(record, completed_at, sums)
    (given,) = connection.execute(GIVEN, (given_name(campaign),)).fetchone()
    beside: dict[str, Any] = dict(zip(OF_CAMPAIGN, columns, strict=True))
    return KeptCampaign(campaign, beside, counts, waiting, twice, given)


def _roster(connection: sqlite3.Connection) -> Roster:
    ((_, everybody),) = connection.execute(EVERYBODY)
    counted, *rows = (dict(connection.execute(query).fetchall()) for query in ROSTER)
    return Roster(counted, *({**each, "*": everybody} if everybody else each for each in rows))


def _strays(connection: sqlite3.Connection, limit: int) -> list[Stray]:
    found: list[Stray] = []
    for kind, of, query in STRAYS:
        values = {"now": now(), "room": limit - len(found)}
        found += [
            Stray(kind, str(name), of) for (name,) in connection.execute(f"{query} LIMIT :room", values)
        ]
    return found
