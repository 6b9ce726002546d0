"""Contacts in the SQLite file. Functions of a connection; those that write are writer jobs."""

import sqlite3
from collections.abc import Iterable, Sequence

from posthouse.mail.address import folded
from posthouse.mail.contact import EVERYBODY, Contact, Entry, How, Written
from posthouse.store.catalog.contacts import COUNTED, Headcount, RoleCount
from posthouse.store.roster import COLUMNS, Change, contact_of, decide, removal
from posthouse.store.sqlite.access import Access
from posthouse.store.sqlite.messages import now
from posthouse.store.sqlite.statements import execute_rows, json_text

SLICE = 64
"""Entries of a transaction: some 4 ms."""

THESE = f"SELECT {COLUMNS} FROM contacts WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key"
ALL = f"SELECT {COLUMNS} FROM contacts WHERE key > ? ORDER BY key LIMIT ?"
KEYS = "SELECT key FROM contacts WHERE key > ? ORDER BY key LIMIT ?"
OF_ROLE = "SELECT key FROM contact_roles WHERE role = ? AND key > ? ORDER BY key LIMIT ?"

WRITE = f"INSERT OR REPLACE INTO contacts ({COLUMNS}) VALUES {{rows}}"
JOIN = "INSERT INTO contact_roles (role, key) VALUES {rows}"
LEAVE = "DELETE FROM contact_roles WHERE (role, key) IN (VALUES {rows})"
REMOVE = "DELETE FROM contacts WHERE key = ?"
COUNT = """INSERT INTO contact_counts (role, n) VALUES {rows}
  ON CONFLICT (role) DO UPDATE SET n = n + excluded.n"""

COUNTS = "SELECT n FROM contact_counts WHERE role IN (SELECT value FROM json_each(?))"
PEOPLE = """SELECT count(DISTINCT key) FROM contact_roles WHERE role IN (SELECT value FROM json_each(?))"""
ROLES = "SELECT role, n FROM contact_counts WHERE role > ? AND role <> '*' AND n > 0 ORDER BY role LIMIT ?"


class SqliteContacts(Access):
    """See store.catalog.contacts."""

    async def write_contacts(
        self, entries: Sequence[Entry], how: How = "update", *, dry_run: bool = False
    ) -> list[Written]:
        if dry_run:
            return (await self._read(_decide, entries, how))[0]
        told: list[Written] = []
        for start in range(0, len(entries), SLICE):
            told += await self._write(write_contacts, entries[start : start + SLICE], how)
        return told

    async def contact(self, email: str) -> Contact | None:
        return next(iter(await self._read(these, [folded(email)])), None)

    async def remove_contact(self, email: str) -> bool:
        return await self._write(remove_contact, folded(email))

    async def contacts(
        self, limit: int, after: str | None = None, roles: Sequence[str] = (EVERYBODY,)
    ) -> list[Contact]:
        return await self._read(contacts_after, folded(after or ""), limit, roles)

    async def contact_count(self, roles: Sequence[str] = (EVERYBODY,)) -> Headcount:
        return await self._read(contact_count, roles)

    async def contact_roles(self, limit: int, after: str | None = None) -> list[RoleCount]:
        return await self._read(contact_roles, limit, after or "")


def write_contacts(connection: sqlite3.Connection, entries: Sequence[Entry], how: How) -> list[Written]:
    """See the port."""
    told, change = _decide(connection, entries, how)
    execute_rows(connection, WRITE, change.rows)
    _move(connection, change)
    return told


def remove_contact(connection: sqlite3.Connection, key: str) -> bool:
    """See the port."""
    found = these(connection, [key])
    for contact in found:
        connection.execute(REMOVE, (key,))
        _move(connection, removal(contact))
    return bool(found)


def these(connection: sqlite3.Connection, keys: Iterable[str]) -> list[Contact]:
    """The contacts of these keys, by key."""
    return [contact_of(row) for row in connection.execute(THESE, (json_text(list(keys)),)).fetchall()]


def contacts_after(
    connection: sqlite3.Connection, after: str, limit: int, roles: Sequence[str]
) -> list[Contact]:
    """The next people of an audience, after a key: each role is a range of the index, and they are merged."""
    if EVERYBODY in roles:
        return [contact_of(row) for row in connection.execute(ALL, (after, limit)).fetchall()]
    return these(connection, keys_after(connection, after, limit, roles))


def keys_after(connection: sqlite3.Connection, after: str, limit: int, roles: Sequence[str]) -> list[str]:
    """The keys of the same people."""
    if EVERYBODY in roles:
        return [key for (key,) in connection.execute(KEYS, (after, limit)).fetchall()]
    keys: set[str] = set()
    for role in roles:
        keys.update(key for (key,) in connection.execute(OF_ROLE, (role, after, limit)).fetchall())
    return sorted(keys)[:limit]


def contact_count(connection: sqlite3.Connection, roles: Sequence[str]) -> Headcount:
    """See the port."""
    wanted = [EVERYBODY] if EVERYBODY in roles else sorted(set(roles))
    counts = [n for (n,) in connection.execute(COUNTS, (json_text(wanted),)).fetchall()]
    least, most = max(counts, default=0), sum(counts)
    if least < most <= COUNTED:
        (least,) = connection.execute(PEOPLE, (json_text(wanted),)).fetchone()
        return Headcount(least, least)
    (everybody,) = connection.execute(COUNTS, (json_text([EVERYBODY]),)).fetchone()
    return Headcount(least, min(most, everybody))


def contact_roles(connection: sqlite3.Connection, limit: int, after: str) -> list[RoleCount]:
    """See the port."""
    return [RoleCount(*row) for row in connection.execute(ROLES, (after, limit)).fetchall()]


def _decide(
    connection: sqlite3.Connection, entries: Sequence[Entry], how: How
) -> tuple[list[Written], Change]:
    found = these(connection, {folded(entry.email) for entry in entries})
    return decide(entries, how, {folded(contact.email): contact for contact in found}, now())


def _move(connection: sqlite3.Connection, change: Change) -> None:
    execute_rows(connection, LEAVE, change.left)
    execute_rows(connection, JOIN, change.joined)
    execute_rows(connection, COUNT, change.counts)
