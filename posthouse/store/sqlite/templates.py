"""Templates in the SQLite file. Functions of a connection; those that write are writer jobs."""

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from posthouse.mail.template import Made, Source
from posthouse.store.catalog.templates import Head, Version, archived, digest, pushed, restored
from posthouse.store.sqlite.access import Access
from posthouse.store.sqlite.messages import now
from posthouse.store.sqlite.trail import LAST, note_act

Connection = sqlite3.Connection

HEAD = 'template, v.version, subject, at, "by"'
LIVE = "FROM templates t JOIN template_versions v ON v.template = id AND v.version = t.version WHERE archived_at IS NULL"
FIND = "SELECT t.version, archived_at, digest FROM templates t JOIN template_versions v USING (version) WHERE id = template AND id = ?"
PUT = """INSERT INTO templates (id, version) VALUES (?, ?)
  ON CONFLICT (id) DO UPDATE SET version = excluded.version, archived_at = NULL"""
ADD = """INSERT INTO template_versions (template, version, subject, at, "by", digest, source, made)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
ARCHIVE = "UPDATE templates SET archived_at = ? WHERE id = ? AND archived_at IS NULL"
ONE = f"SELECT {HEAD} {LIVE} AND id = ?"
LIST = f"SELECT {HEAD} {LIVE} AND id > ? ORDER BY id LIMIT ?"
VERSIONS = (
    f"SELECT {HEAD} FROM template_versions v WHERE template = ? AND version < ? ORDER BY version DESC LIMIT ?"
)
LATEST = f"SELECT {HEAD}, source, made {LIVE} AND id = ?"
GET = f"SELECT {HEAD}, source, made FROM template_versions v WHERE template = ? AND version = ?"

_SOURCE = msgspec.msgpack.Decoder(Source)
_MADE = msgspec.msgpack.Decoder(Made)
_encode = msgspec.msgpack.Encoder().encode


class SqliteTemplates(Access):
    """See store.catalog.templates."""

    async def push_template(self, id: str, source: Source, made: Made, by: str) -> tuple[Head, bool]:
        return await self._write(push_template, id, source, made, by)

    async def template_head(self, id: str) -> Head | None:
        return await self._read(template_head, id)

    async def template(self, id: str, version: int | None = None) -> Version | None:
        return await self._read(template, id, version)

    async def templates(self, limit: int, cursor: str | None = None) -> list[Head]:
        return await self._read(templates, limit, cursor)

    async def template_versions(self, id: str, limit: int, cursor: int | None = None) -> list[Head]:
        return await self._read(template_versions, id, limit, cursor)

    async def archive_template(self, id: str, by: str) -> bool:
        return await self._write(archive_template, id, by)


def push_template(connection: Connection, id: str, source: Source, made: Made, by: str) -> tuple[Head, bool]:
    """See the port."""
    version, archived_at, known = connection.execute(FIND, (id,)).fetchone() or (0, None, b"")
    if known == digest(source):
        connection.execute(PUT, (id, version))
        if archived_at is not None:
            note_act(connection, by, restored(id))
        return _heads(connection.execute(ONE, (id,)))[0], False
    head = Head(template=id, version=version + 1, subject=source.subject, at=now(), by=by)
    connection.execute(PUT, (id, head.version))
    parts = (digest(source), _encode(source), _encode(made))
    connection.execute(ADD, (id, head.version, head.subject, head.at, by, *parts))
    note_act(connection, by, pushed(head))
    return head, True


def template_head(connection: Connection, id: str) -> Head | None:
    """See the port."""
    return next(iter(_heads(connection.execute(ONE, (id,)))), None)


def template(connection: Connection, id: str, version: int | None) -> Version | None:
    """See the port."""
    found = connection.execute(LATEST, (id,)) if version is None else connection.execute(GET, (id, version))
    for *head, source, made in found:
        return Version(head=_head(*head), source=_SOURCE.decode(source), made=_MADE.decode(made))
    return None


def templates(connection: Connection, limit: int, cursor: str | None) -> list[Head]:
    """See the port."""
    return _heads(connection.execute(LIST, (cursor or "", limit)))


def template_versions(connection: Connection, id: str, limit: int, cursor: int | None) -> list[Head]:
    """See the port."""
    return _heads(connection.execute(VERSIONS, (id, LAST if cursor is None else cursor, limit)))


def archive_template(connection: Connection, id: str, by: str) -> bool:
    """See the port."""
    if not connection.execute(ARCHIVE, (now(), id)).rowcount:
        return False
    note_act(connection, by, archived(id))
    return True


def _heads(rows: Iterable[tuple[Any, ...]]) -> list[Head]:
    return [_head(*row) for row in rows]


def _head(template: str, version: int, subject: str | None, at: int, by: str) -> Head:
    return Head(template=template, version=version, subject=subject, at=at, by=by)
