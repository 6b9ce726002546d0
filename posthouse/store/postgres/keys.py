"""API keys in the PostgreSQL database."""

from typing import Any

import msgspec

from posthouse.mail.retry import until
from posthouse.store.catalog import ApiKey
from posthouse.store.postgres.access import Access
from posthouse.store.postgres.connection import NOW, Connection

ADD = """INSERT INTO api_keys (id, name, digest, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT DO NOTHING"""
REVOKE = f"UPDATE api_keys SET revoked_at = {NOW} WHERE (id = $1 OR name = $1) AND revoked_at IS NULL"
CHANGED = "UPDATE facts SET value = value::bigint + 1 WHERE name = 'api_key_version'"
ALL = """SELECT id, name, digest, scopes, created_at, expires_at, revoked_at FROM api_keys ORDER BY created_at, id"""


class PostgresApiKeys(Access):
    """See store.catalog.keys."""

    async def add_api_key(self, key: ApiKey, seconds: float | None = None) -> ApiKey:
        return await self._connections.transact(add_api_key, key, seconds)

    async def api_keys(self) -> list[ApiKey]:
        return await self._connections.call(api_keys)

    async def revoke_api_key(self, id_or_name: str) -> int:
        return await self._connections.transact(revoke_api_key, id_or_name)

    async def api_key_version(self) -> int:
        return await self._connections.call(api_key_version)


async def add_api_key(connection: Connection, key: ApiKey, seconds: float | None) -> ApiKey:
    """Keeps a key; its times are made here."""
    at = await connection.fetchval(f"SELECT {NOW}")
    ends = None if seconds is None else until(at, seconds)
    kept = msgspec.structs.replace(key, created_at=at, expires_at=ends)
    await connection.execute(ADD, kept.id, kept.name, kept.digest, " ".join(kept.scopes), at, ends)
    await connection.execute(CHANGED)
    return kept


async def api_keys(connection: Connection) -> list[ApiKey]:
    """All keys, oldest first."""
    return [_key(row) for row in await connection.fetch(ALL)]


async def revoke_api_key(connection: Connection, id_or_name: str) -> int:
    """Revokes live keys by id or name; how many."""
    count = int((await connection.execute(REVOKE, id_or_name)).split()[-1])
    if count:
        await connection.execute(CHANGED)
    return count


async def api_key_version(connection: Connection) -> int:
    """The number of changes so far."""
    return int(await connection.fetchval("SELECT value FROM facts WHERE name = 'api_key_version'"))


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        digest=row["digest"],
        scopes=tuple(row["scopes"].split()),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
