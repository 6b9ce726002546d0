"""The secret of the house in the SQLite file."""

import sqlite3

from posthouse.store.sqlite.access import Access


class SqliteSecret(Access):
    """See store.catalog.secret."""

    async def secret(self) -> str:
        return await self._read(_secret)


def _secret(connection: sqlite3.Connection) -> str:
    return connection.execute("SELECT value FROM facts WHERE name = 'secret'").fetchone()[0]
