"""The PostgreSQL store keeps the contract behind pgbouncer in transaction mode, where no session is one's own."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from posthouse.store.postgres import PostgresStore
from posthouse.testing.store_claim import Claiming
from posthouse.testing.store_save import Reopen, Saving
from posthouse.testing.store_settle import Settling
from tests.pooler import pooler
from tests.services import server_connection


@pytest.fixture
async def pooled(postgres_server: str) -> AsyncIterator[str]:
    """A database of one's own behind a pgbouncer of one's own: a schema would be the state of a session."""
    name = f"test_{secrets.token_hex(8)}"
    async with server_connection(postgres_server) as connection:
        await connection.execute(f"CREATE DATABASE {name}")
    async with pooler(urlsplit(postgres_server)._replace(path=f"/{name}").geturl()) as url:
        yield url
    async with server_connection(postgres_server) as connection:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class TestBehindPgbouncer(Saving, Claiming, Settling):
    """The parts of the contract with every kind of statement and transaction; another would only take longer."""

    @pytest.fixture
    async def opened(self, pooled: str) -> AsyncIterator[list[PostgresStore]]:
        stores = [PostgresStore(pooled, migrating=True)]
        await stores[0].start()
        yield stores
        await stores[-1].stop()

    @pytest.fixture
    def store(self, opened: list[PostgresStore]) -> PostgresStore:
        return opened[0]

    @pytest.fixture
    def reopen(self, opened: list[PostgresStore], pooled: str) -> Reopen:
        async def again() -> PostgresStore:
            await opened[-1].stop()
            opened.append(PostgresStore(pooled))
            await opened[-1].start()
            return opened[-1]

        return again

    async def test_it_knows(self, store: PostgresStore, postgres: str) -> None:
        """Found out by asking: nothing has to be set."""
        assert store._connections.pooled
        direct = PostgresStore(postgres, migrating=True)
        await direct.start()
        assert not direct._connections.pooled
        await direct.stop()
