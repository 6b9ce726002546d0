"""The trail in the SQLite file. Functions of a connection; `note_acts` belongs into the job that does what it notes."""

import sqlite3
from collections.abc import Sequence

import msgspec

from posthouse.store.catalog.trail import Deed, Entry
from posthouse.store.sqlite.access import Access
from posthouse.store.sqlite.messages import now
from posthouse.store.sqlite.statements import execute_rows, json_text

Connection = sqlite3.Connection

NOTE = 'INSERT INTO acts (at, "by", act, about, detail) VALUES {rows}'
LIST = 'SELECT id, at, "by", act, about, detail FROM acts WHERE id < ? {which} ORDER BY id DESC LIMIT ?'
LAST = (1 << 63) - 1
"""No id is higher."""


class SqliteTrail(Access):
    """See store.catalog.trail."""

    async def note(self, by: str, deed: Deed) -> None:
        await self._write(note_act, by, deed)

    async def acts(self, limit: int, cursor: int | None = None, about: str | None = None) -> list[Entry]:
        return await self._read(acts, limit, cursor, about)


def note_act(connection: Connection, by: str, deed: Deed) -> None:
    """Notes one act, now."""
    note_acts(connection, by, [deed])


def note_acts(connection: Connection, by: str, deeds: Sequence[Deed]) -> None:
    """Notes acts, now, in their order."""
    at = now()
    rows = [(at, by, deed.act, deed.about, json_text(deed.detail)) for deed in deeds]
    execute_rows(connection, NOTE, rows)


def acts(connection: Connection, limit: int, cursor: int | None, about: str | None) -> list[Entry]:
    """See the port."""
    which, given = ("", ()) if about is None else ("AND about = ?", (about,))
    rows = connection.execute(LIST.format(which=which), (LAST if cursor is None else cursor, *given, limit))
    return [
        Entry(id=id, at=at, by=by, act=act, about=about, detail=msgspec.json.decode(detail))
        for id, at, by, act, about, detail in rows
    ]
