"""The suppression list in the SQLite file. Functions of a connection; those that write are writer jobs."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from posthouse.mail.address import folded
from posthouse.mail.message import LANES, Lane
from posthouse.mail.suppression import Reach, Reason, Suppression, outlasts, strongest
from posthouse.store.catalog.suppressions import added, removed
from posthouse.store.sqlite.access import Access
from posthouse.store.sqlite.messages import now
from posthouse.store.sqlite.statements import execute_rows, json_text
from posthouse.store.sqlite.trail import LAST, note_acts

Connection = sqlite3.Connection

COLUMNS = 'email, lane, reason, note, expires_at, "by", at, id'
LIVE = "(expires_at IS NULL OR expires_at > ?)"
THESE = "FROM suppressions WHERE address IN (SELECT value FROM json_each(?))"
FIND = f"SELECT {COLUMNS} {THESE} AND {LIVE}"
SUPPRESSED = f"{FIND} AND lane IN ('both', ?)"
LIST = f"SELECT {COLUMNS} FROM suppressions WHERE {LIVE} AND id < ? {{which}} ORDER BY id DESC LIMIT ?"
ANY = "SELECT EXISTS (SELECT 1 FROM suppressions WHERE lane IN ('both', ?))"
PUT = """INSERT OR REPLACE INTO suppressions (address, email, lane, reason, note, expires_at, "by", at) VALUES {rows}"""
REMOVE = "DELETE FROM suppressions WHERE id IN (SELECT value FROM json_each(?))"
FORGET = "DELETE FROM suppressions WHERE id IN (SELECT id FROM suppressions WHERE expires_at <= ? LIMIT 500)"


class SqliteSuppressions(Access):
    """See store.catalog.suppressions."""

    async def suppress(self, entries: Sequence[Suppression], by: str) -> int:
        return await self._write(suppress, entries, by)

    async def unsuppress(self, emails: Sequence[str], by: str, lane: Reach | None = None) -> int:
        return await self._write(unsuppress, emails, by, lane)

    async def suppressions(
        self,
        limit: int,
        cursor: int | None = None,
        *,
        email: str | None = None,
        reason: Reason | None = None,
    ) -> list[Suppression]:
        return await self._read(suppressions, limit, cursor, email, reason)

    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]:
        return await self._read(suppressed, emails, lane, now())

    async def suppressing(self) -> list[Lane]:
        return await self._read(suppressing)


def suppress(connection: Connection, entries: Sequence[Suppression], by: str) -> int:
    """See the port. Forgets a slice of what has ended."""
    at = now()
    connection.execute(FORGET, (at,))
    given = strongest(entries)
    there = {entry.place: entry for entry in _find(connection, [each.email for each in given], at)}
    new = [entry for entry in given if outlasts(entry, there.get(entry.place))]
    execute_rows(connection, PUT, [_row(entry, by, at) for entry in new])
    note_acts(connection, by, [added(entry) for entry in new])
    return len(new)


def unsuppress(connection: Connection, emails: Sequence[str], by: str, lane: Reach | None) -> int:
    """See the port."""
    found = [entry for entry in _find(connection, emails, now()) if lane in (None, entry.lane)]
    connection.execute(REMOVE, (json_text([entry.id for entry in found]),))
    note_acts(connection, by, [removed(entry) for entry in found])
    return len(found)


def suppressions(
    connection: Connection, limit: int, cursor: int | None, email: str | None, reason: Reason | None
) -> list[Suppression]:
    """See the port."""
    asked = {"address": email and folded(email), "reason": reason}
    given = {name: value for name, value in asked.items() if value is not None}
    which = "".join(f" AND {name} = ?" for name in given)
    values = (now(), LAST if cursor is None else cursor, *given.values(), limit)
    return _entries(connection.execute(LIST.format(which=which), values))


def suppressed(connection: Connection, emails: Sequence[str], lane: Lane, at: int) -> dict[str, Suppression]:
    """See the port. Also for whoever makes mail in a transaction of its own, at the time `at`."""
    asked = {email: folded(email) for email in emails}
    rows = connection.execute(SUPPRESSED, (json_text(list(asked.values())), at, lane))
    found = {folded(entry.email): entry for entry in _entries(rows)}
    return {email: found[address] for email, address in asked.items() if address in found}


def suppressing(connection: Connection) -> list[Lane]:
    """See the port."""
    return [lane for lane in LANES if connection.execute(ANY, (lane,)).fetchone()[0]]


def _find(connection: Connection, emails: Sequence[str], at: int) -> list[Suppression]:
    return _entries(connection.execute(FIND, (json_text([folded(email) for email in emails]), at)))


def _entries(rows: Iterable[tuple[Any, ...]]) -> list[Suppression]:
    return [
        Suppression(
            email=email, lane=lane, reason=reason, note=note, expires_at=expires_at, by=by, at=at, id=id
        )
        for email, lane, reason, note, expires_at, by, at, id in rows
    ]


def _row(entry: Suppression, by: str, at: int) -> tuple[Any, ...]:
    return (folded(entry.email), entry.email, entry.lane, entry.reason, entry.note, entry.expires_at, by, at)
