"""The suppression list in the PostgreSQL database."""

from collections.abc import Sequence
from typing import Any

from posthouse.mail.address import folded
from posthouse.mail.message import LANES, Lane
from posthouse.mail.suppression import Reach, Reason, Suppression, strongest
from posthouse.store.catalog.suppressions import added, removed
from posthouse.store.postgres.access import Access
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.trail import LAST, note_acts

COLUMNS = 'email, lane, reason, note, expires_at, "by", at, id'
LIVE = f"(expires_at IS NULL OR expires_at > (SELECT {NOW}))"
PUT = f"""INSERT INTO suppressions (address, email, lane, reason, note, expires_at, "by", at)
  SELECT address, email, lane, reason, note, expires_at, $1, {NOW}
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
    AS given (address, email, lane, reason, note, expires_at)
  ORDER BY address, lane
  ON CONFLICT (address, lane) DO UPDATE SET id = DEFAULT, email = excluded.email, reason = excluded.reason,
    note = excluded.note, expires_at = excluded.expires_at, "by" = excluded."by", at = excluded.at
  WHERE suppressions.expires_at < coalesce(excluded.expires_at, {LAST})
  RETURNING {COLUMNS}"""
REMOVE = f"""WITH doomed AS (
  SELECT id AS found FROM suppressions WHERE address = ANY ($1::text[]) AND {LIVE} AND ($2::text IS NULL OR lane = $2)
  ORDER BY address, lane FOR UPDATE)
  DELETE FROM suppressions USING doomed WHERE id = found RETURNING {COLUMNS}"""
LIST = f"SELECT {COLUMNS} FROM suppressions WHERE {LIVE} AND id < $1 {{which}} ORDER BY id DESC LIMIT $2"
SUPPRESSED = f"""SELECT {COLUMNS} FROM suppressions WHERE address = ANY ($1::text[]) AND lane IN ('both', $2)
  AND (expires_at IS NULL OR expires_at > coalesce($3::bigint, (SELECT {NOW})))"""
ANY = """SELECT lane FROM unnest($1::text[]) AS lanes (lane)
  WHERE EXISTS (SELECT 1 FROM suppressions WHERE suppressions.lane IN ('both', lanes.lane))"""
FORGET = f"""DELETE FROM suppressions WHERE id IN (
  SELECT id FROM suppressions WHERE expires_at <= (SELECT {NOW}) LIMIT 500 FOR UPDATE SKIP LOCKED)"""


class PostgresSuppressions(Access):
    """See store.catalog.suppressions."""

    async def suppress(self, entries: Sequence[Suppression], by: str) -> int:
        return await self._connections.transact(suppress, entries, by)

    async def unsuppress(self, emails: Sequence[str], by: str, lane: Reach | None = None) -> int:
        return await self._connections.transact(unsuppress, emails, by, lane)

    async def suppressions(
        self,
        limit: int,
        cursor: int | None = None,
        *,
        email: str | None = None,
        reason: Reason | None = None,
    ) -> list[Suppression]:
        return await self._connections.call(suppressions, limit, cursor, email, reason)

    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]:
        return await self._connections.call(suppressed, emails, lane)

    async def suppressing(self) -> list[Lane]:
        return await self._connections.call(suppressing)


async def suppress(connection: Connection, entries: Sequence[Suppression], by: str) -> int:
    """See the port. Forgets a slice of what has ended."""
    await connection.execute(FORGET)
    given = strongest(entries)
    columns: list[list[Any]] = [
        [folded(entry.email) for entry in given],
        [entry.email for entry in given],
        [entry.lane for entry in given],
        [entry.reason for entry in given],
        [entry.note for entry in given],
        [entry.expires_at for entry in given],
    ]
    new = [_entry(row) for row in await connection.fetch(PUT, by, *columns)]
    await note_acts(connection, by, [added(entry) for entry in new])
    return len(new)


async def unsuppress(connection: Connection, emails: Sequence[str], by: str, lane: Reach | None) -> int:
    """See the port."""
    rows = await connection.fetch(REMOVE, [folded(email) for email in emails], lane)
    await note_acts(connection, by, [removed(_entry(row)) for row in rows])
    return len(rows)


async def suppressions(
    connection: Connection, limit: int, cursor: int | None, email: str | None, reason: Reason | None
) -> list[Suppression]:
    """See the port."""
    asked = {"address": email and folded(email), "reason": reason}
    given = {name: value for name, value in asked.items() if value is not None}
    which = "".join(f" AND {name} = ${n}" for n, name in enumerate(given, 3))
    place = LAST if cursor is None else cursor
    rows = await connection.fetch(LIST.format(which=which), place, limit, *given.values())
    return [_entry(row) for row in rows]


async def suppressed(
    connection: Connection, emails: Sequence[str], lane: Lane, at: int | None = None
) -> dict[str, Suppression]:
    """See the port. Also for whoever makes mail in a transaction of its own, at the time `at`."""
    asked = {email: folded(email) for email in emails}
    rows = await connection.fetch(SUPPRESSED, list(asked.values()), lane, at)
    found = {folded(row["email"]): _entry(row) for row in rows}
    return {email: found[address] for email, address in asked.items() if address in found}


async def suppressing(connection: Connection) -> list[Lane]:
    """See the port."""
    found = {row["lane"] for row in await connection.fetch(ANY, list(LANES))}
    return [lane for lane in LANES if lane in found]


def _entry(row: Any) -> Suppression:
    return Suppression(**dict(row))
