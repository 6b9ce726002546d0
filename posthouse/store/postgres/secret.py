"""The secret of the house in the PostgreSQL database."""

from posthouse.store.postgres.access import Access
from posthouse.store.postgres.connection import Connection


class PostgresSecret(Access):
    """See store.catalog.secret."""

    async def secret(self) -> str:
        return await self._connections.call(_secret)


async def _secret(connection: Connection) -> str:
    return await connection.fetchval("SELECT value FROM facts WHERE name = 'secret'")
