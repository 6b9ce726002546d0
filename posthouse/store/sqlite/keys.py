"""API keys in the SQLite file. Functions of a connection; those that write are writer jobs."""

import sqlite3

import msgspec

from posthouse.mail.retry import until
from posthouse.store.catalog import ApiKey
from posthouse.store.sqlite.access import Access
from posthouse.store.sqlite.messages import now

Connection = sqlite3.Connection


class SqliteApiKeys(Access):
    """See store.catalog.keys."""

    async def add_api_key(self, key: ApiKey, seconds: float | None = None) -> ApiKey:
        return await self._write(add_api_key, key, seconds)

    async def api_keys(self) -> list[ApiKey]:
        return await self._read(api_keys)

    async def revoke_api_key(self, id_or_name: str) -> int:
        return await self._write(revoke_api_key, id_or_name)

    async def api_key_version(self) -> int:
        return await self._read(api_key_version)


def add_api_key(connection: Connection, key: ApiKey, seconds: float | None) -> ApiKey:
    """Keeps a key; its times are made here."""
    at = now()
    kept = msgspec.structs.replace(key, created_at=at, expires_at=seconds and until(at, seconds))
    connection.execute(
        "INSERT INTO api_keys (id, name, digest, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        (kept.id, kept.name, kept.digest, " ".join(kept.scopes), kept.created_at, kept.expires_at),
    )
    _changed(connection)
    return kept


def api_keys(connection: Connection) -> list[ApiKey]:
    """All keys, oldest first."""
    query = """SELECT id, name, digest, scopes, created_at, expires_at, revoked_at FROM api_keys
      ORDER BY created_at, id"""
    return [
        ApiKey(
            id=id,
            name=name,
            digest=digest,
            scopes=tuple(scopes.split()),
            created_at=created_at,
            expires_at=expires_at,
            revoked_at=revoked_at,
        )
        for id, name, digest, scopes, created_at, expires_at, revoked_at in connection.execute(query)
    ]


def revoke_api_key(connection: Connection, id_or_name: str) -> int:
    """Revokes live keys by id or name; how many."""
    query = "UPDATE api_keys SET revoked_at = ? WHERE (id = ? OR name = ?) AND revoked_at IS NULL"
    count = connection.execute(query, (now(), id_or_name, id_or_name)).rowcount
    if count:
        _changed(connection)
    return count


def api_key_version(connection: Connection) -> int:
    """The number of changes so far."""
    return int(connection.execute("SELECT value FROM facts WHERE name = 'api_key_version'").fetchone()[0])


def _changed(connection: Connection) -> None:
    connection.execute("UPDATE facts SET value = CAST(value AS INTEGER) + 1 WHERE name = 'api_key_version'")
