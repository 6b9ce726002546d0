"""Templates in the PostgreSQL database."""

from typing import Any

import msgspec

from posthouse.mail.template import Made, Source
from posthouse.store.catalog.templates import Head, Version, archived, digest, pushed, restored
from posthouse.store.postgres.access import Access
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.trail import LAST, note_act

HEAD = 'template, v.version, subject, at, "by"'
LIVE = "FROM templates t JOIN template_versions v ON v.template = id AND v.version = t.version WHERE archived_at IS NULL"
LOCK = """INSERT INTO templates AS t (id, version) VALUES ($1, 0)
  ON CONFLICT (id) DO UPDATE SET version = t.version RETURNING version, archived_at"""
KNOWN = "SELECT digest FROM template_versions WHERE template = $1 AND version = $2"
USE = "UPDATE templates SET version = $2, archived_at = NULL WHERE id = $1"
ADD = f"""INSERT INTO template_versions AS v (template, version, subject, at, "by", digest, source, made)
  VALUES ($1, $2, $3, {NOW}, $4, $5, $6, $7) RETURNING {HEAD}"""
ARCHIVE = f"UPDATE templates SET archived_at = {NOW} WHERE id = $1 AND archived_at IS NULL"
ONE = f"SELECT {HEAD} {LIVE} AND id = $1"
LIST = f"SELECT {HEAD} {LIVE} AND id > $1 ORDER BY id LIMIT $2"
VERSIONS = f"SELECT {HEAD} FROM template_versions v WHERE template = $1 AND version < $2 ORDER BY version DESC LIMIT $3"
LATEST = f"SELECT {HEAD}, source, made {LIVE} AND id = $1"
GET = f"SELECT {HEAD}, source, made FROM template_versions v WHERE template = $1 AND version = $2"

_SOURCE = msgspec.msgpack.Decoder(Source)
_MADE = msgspec.msgpack.Decoder(Made)
_encode = msgspec.msgpack.Encoder().encode


class PostgresTemplates(Access):
    """See store.catalog.templates."""

    async def push_template(self, id: str, source: Source, made: Made, by: str) -> tuple[Head, bool]:
        return await self._connections.transact(push_template, id, source, made, by)

    async def template_head(self, id: str) -> Head | None:
        return await self._connections.call(template_head, id)

    async def template(self, id: str, version: int | None = None) -> Version | None:
        return await self._connections.call(template, id, version)

    async def templates(self, limit: int, cursor: str | None = None) -> list[Head]:
        return await self._connections.call(templates, limit, cursor)

    async def template_versions(self, id: str, limit: int, cursor: int | None = None) -> list[Head]:
        return await self._connections.call(template_versions, id, limit, cursor)

    async def archive_template(self, id: str, by: str) -> bool:
        return await self._connections.transact(archive_template, id, by)


async def push_template(
    connection: Connection, id: str, source: Source, made: Made, by: str
) -> tuple[Head, bool]:
    """See the port. Those that push the same template come one after the other."""
    version, archived_at = await connection.fetchrow(LOCK, id)
    if await connection.fetchval(KNOWN, id, version) == digest(source):
        await connection.execute(USE, id, version)
        if archived_at is not None:
            await note_act(connection, by, restored(id))
        return _head(await connection.fetchrow(ONE, id)), False
    await connection.execute(USE, id, version + 1)
    parts = (digest(source), _encode(source), _encode(made))
    head = _head(await connection.fetchrow(ADD, id, version + 1, source.subject, by, *parts))
    await note_act(connection, by, pushed(head))
    return head, True


async def template_head(connection: Connection, id: str) -> Head | None:
    """See the port."""
    row = await connection.fetchrow(ONE, id)
    return row and _head(row)


async def template(connection: Connection, id: str, version: int | None) -> Version | None:
    """See the port."""
    latest = version is None
    row = await (connection.fetchrow(LATEST, id) if latest else connection.fetchrow(GET, id, version))
    if row is None:
        return None
    return Version(head=_head(row), source=_SOURCE.decode(row["source"]), made=_MADE.decode(row["made"]))


async def templates(connection: Connection, limit: int, cursor: str | None) -> list[Head]:
    """See the port."""
    return [_head(row) for row in await connection.fetch(LIST, cursor or "", limit)]


async def template_versions(connection: Connection, id: str, limit: int, cursor: int | None) -> list[Head]:
    """See the port."""
    place = LAST if cursor is None else cursor
    return [_head(row) for row in await connection.fetch(VERSIONS, id, place, limit)]


async def archive_template(connection: Connection, id: str, by: str) -> bool:
    """See the port."""
    if await connection.execute(ARCHIVE, id) == "UPDATE 0":
        return False
    await note_act(connection, by, archived(id))
    return True


def _head(row: Any) -> Head:
    return Head(
        template=row["template"],
        version=row["version"],
        subject=row["subject"],
        at=row["at"],
        by=row["by"],
    )
