"""Contacts in the PostgreSQL database.

Whoever writes them locks the row of everybody's count until the commit: so two who write the same address see each
other's work, counts are right, and none can deadlock.
"""

from collections.abc import Sequence
from typing import Any

from posthouse.mail.address import folded
from posthouse.mail.contact import EVERYBODY, Contact, Entry, How, Written
from posthouse.store.catalog.contacts import COUNTED, Headcount, RoleCount
from posthouse.store.postgres.access import Access
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.roster import COLUMNS, Change, contact_of, decide, removal

SLICE = 500
"""Entries of a transaction."""

LOCK = f"SELECT {NOW} FROM contact_counts WHERE role = '*' FOR UPDATE"
THESE = f"SELECT {COLUMNS} FROM contacts WHERE key = ANY($1::text[]) ORDER BY key"
ALL = f"SELECT {COLUMNS} FROM contacts WHERE key > $1 ORDER BY key LIMIT $2"
THE_KEYS = """
SELECT DISTINCT of_role.key FROM unnest($3::text[]) AS asked (role), LATERAL (
  SELECT key FROM contact_roles WHERE role = asked.role AND key > $1 ORDER BY key LIMIT $2) AS of_role
ORDER BY of_role.key LIMIT $2"""
OF_ROLES = f"SELECT {COLUMNS} FROM contacts WHERE key = ANY(ARRAY({THE_KEYS})) ORDER BY key"
ALL_KEYS = "SELECT key FROM contacts WHERE key > $1 ORDER BY key LIMIT $2"

WRITE = f"""
WITH into_contacts AS (
  INSERT INTO contacts ({COLUMNS})
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::bigint[])
  ON CONFLICT (key) DO UPDATE SET email = excluded.email, name = excluded.name, roles = excluded.roles,
    attributes = excluded.attributes, consent_when = excluded.consent_when, consent_how = excluded.consent_how,
    updated_at = excluded.updated_at
), joined AS (
  INSERT INTO contact_roles (role, key) SELECT * FROM unnest($10::text[], $11::text[])
), gone AS (
  DELETE FROM contact_roles USING unnest($12::text[], $13::text[]) AS these (role, key)
  WHERE contact_roles.role = these.role AND contact_roles.key = these.key
)
INSERT INTO contact_counts (role, n) SELECT * FROM unnest($14::text[], $15::bigint[])
ON CONFLICT (role) DO UPDATE SET n = contact_counts.n + excluded.n"""
REMOVE = "DELETE FROM contacts WHERE key = $1"

COUNTS = "SELECT n FROM contact_counts WHERE role = ANY($1::text[])"
PEOPLE = "SELECT count(DISTINCT key) FROM contact_roles WHERE role = ANY($1::text[])"
ROLES = "SELECT role, n FROM contact_counts WHERE role > $1 AND role <> '*' AND n > 0 ORDER BY role LIMIT $2"


class PostgresContacts(Access):
    """See store.catalog.contacts."""

    async def write_contacts(
        self, entries: Sequence[Entry], how: How = "update", *, dry_run: bool = False
    ) -> list[Written]:
        job, told = would_write if dry_run else write_contacts, list[Written]()
        for start in range(0, len(entries), SLICE):
            told += await self._connections.transact(job, entries[start : start + SLICE], how)
        return told

    async def contact(self, email: str) -> Contact | None:
        return next(iter(await self._connections.call(these, [folded(email)])), None)

    async def remove_contact(self, email: str) -> bool:
        return await self._connections.transact(remove_contact, folded(email))

    async def contacts(
        self, limit: int, after: str | None = None, roles: Sequence[str] = (EVERYBODY,)
    ) -> list[Contact]:
        return await self._connections.call(contacts_after, folded(after or ""), limit, roles)

    async def contact_count(self, roles: Sequence[str] = (EVERYBODY,)) -> Headcount:
        return await self._connections.call(contact_count, roles)

    async def contact_roles(self, limit: int, after: str | None = None) -> list[RoleCount]:
        return await self._connections.call(contact_roles, limit, after or "")


async def write_contacts(connection: Connection, entries: Sequence[Entry], how: How) -> list[Written]:
    """See the port."""
    at = await connection.fetchval(LOCK)
    told, change = decide(entries, how, await _standing(connection, entries), at)
    if change.rows:
        await _write(connection, change)
    return told


async def would_write(connection: Connection, entries: Sequence[Entry], how: How) -> list[Written]:
    """What write_contacts would tell."""
    return decide(entries, how, await _standing(connection, entries), 0)[0]


async def remove_contact(connection: Connection, key: str) -> bool:
    """See the port."""
    await connection.fetchval(LOCK)
    found = await these(connection, [key])
    for contact in found:
        await connection.execute(REMOVE, key)
        await _write(connection, removal(contact))
    return bool(found)


async def these(connection: Connection, keys: Sequence[str]) -> list[Contact]:
    """The contacts of these keys, by key."""
    return [contact_of(row) for row in await connection.fetch(THESE, keys)]


async def contacts_after(
    connection: Connection, after: str, limit: int, roles: Sequence[str]
) -> list[Contact]:
    """The next people of an audience, after a key: each role is a range of the index, and they are merged."""
    if EVERYBODY in roles:
        rows = await connection.fetch(ALL, after, limit)
    else:
        rows = await connection.fetch(OF_ROLES, after, limit, sorted(set(roles)))
    return [contact_of(row) for row in rows]


async def keys_after(connection: Connection, after: str, limit: int, roles: Sequence[str]) -> list[str]:
    """The keys of the same people."""
    if EVERYBODY in roles:
        rows = await connection.fetch(ALL_KEYS, after, limit)
    else:
        rows = await connection.fetch(THE_KEYS, after, limit, sorted(set(roles)))
    return [row["key"] for row in rows]


async def contact_count(connection: Connection, roles: Sequence[str]) -> Headcount:
    """See the port."""
    wanted = [EVERYBODY] if EVERYBODY in roles else sorted(set(roles))
    counts = [row["n"] for row in await connection.fetch(COUNTS, wanted)]
    least, most = max(counts, default=0), sum(counts)
    if least < most <= COUNTED:
        least = await connection.fetchval(PEOPLE, wanted)
        return Headcount(least, least)
    return Headcount(least, min(most, await connection.fetchval(COUNTS, [EVERYBODY])))


async def contact_roles(connection: Connection, limit: int, after: str) -> list[RoleCount]:
    """See the port."""
    return [RoleCount(row["role"], row["n"]) for row in await connection.fetch(ROLES, after, limit)]


async def _standing(connection: Connection, entries: Sequence[Entry]) -> dict[str, Contact]:
    found = await these(connection, sorted({folded(entry.email) for entry in entries}))
    return {folded(contact.email): contact for contact in found}


async def _write(connection: Connection, change: Change) -> None:
    columns: list[list[Any]] = [
        *_columns(change.rows, 9),
        *_columns(change.joined, 2),
        *_columns(change.left, 2),
        *_columns(change.counts, 2),
    ]
    await connection.execute(WRITE, *columns)


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]
