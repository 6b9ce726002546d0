"""The trail in the PostgreSQL database. `note_acts` belongs into the transaction that does what it notes."""

from collections.abc import Sequence

import msgspec

from posthouse.store.catalog.trail import Deed, Entry
from posthouse.store.postgres.access import Access
from posthouse.store.postgres.connection import NOW, Connection

NOTE = f"""INSERT INTO acts (at, "by", act, about, detail)
  SELECT {NOW}, $1, act, about, detail
  FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS deeds (act, about, detail, nth) ORDER BY nth"""
LIST = """SELECT id, at, "by", act, about, detail FROM acts WHERE id < $1 {which} ORDER BY id DESC LIMIT $2"""
LAST = (1 << 63) - 1
"""No id is higher."""


class PostgresTrail(Access):
    """See store.catalog.trail."""

    async def note(self, by: str, deed: Deed) -> None:
        await self._connections.transact(note_act, by, deed)

    async def acts(self, limit: int, cursor: int | None = None, about: str | None = None) -> list[Entry]:
        return await self._connections.call(acts, limit, cursor, about)


async def note_act(connection: Connection, by: str, deed: Deed) -> None:
    """Notes one act, now."""
    await note_acts(connection, by, [deed])


async def note_acts(connection: Connection, by: str, deeds: Sequence[Deed]) -> None:
    """Notes acts, now, in their order."""
    details = [msgspec.json.encode(deed.detail).decode() for deed in deeds]
    await connection.execute(NOTE, by, [deed.act for deed in deeds], [deed.about for deed in deeds], details)


async def acts(connection: Connection, limit: int, cursor: int | None, about: str | None) -> list[Entry]:
    """See the port."""
    which, given = ("", ()) if about is None else ("AND about = $3", (about,))
    place = LAST if cursor is None else cursor
    rows = await connection.fetch(LIST.format(which=which), place, limit, *given)
    return [
        Entry(
            id=row["id"],
            at=row["at"],
            by=row["by"],
            act=row["act"],
            about=row["about"],
            detail=msgspec.json.decode(row["detail"]),
        )
        for row in rows
    ]
