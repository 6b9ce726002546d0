"""The SQLite store keeps the contract of stores and that of catalogs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.store.sqlite import SqliteStore
from posthouse.testing.catalog import CatalogContract
from posthouse.testing.store import StoreContract
from posthouse.testing.store_save import Reopen


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def opened(self, tmp_path: Path) -> AsyncIterator[list[SqliteStore]]:
        """The stores of this test on one file; the last one runs."""
        stores = [SqliteStore(tmp_path / "posthouse.db")]
        await stores[0].start()
        yield stores
        await stores[-1].stop()

    @pytest.fixture
    def store(self, opened: list[SqliteStore]) -> SqliteStore:
        return opened[0]

    @pytest.fixture
    def reopen(self, opened: list[SqliteStore], tmp_path: Path) -> Reopen:
        async def again() -> SqliteStore:
            await opened[-1].stop()
            opened.append(SqliteStore(tmp_path / "posthouse.db"))
            await opened[-1].start()
            return opened[-1]

        return again


class TestSqliteCatalog(CatalogContract):
    @pytest.fixture
    async def catalogs(self, tmp_path: Path) -> AsyncIterator[list[SqliteStore]]:
        """Two on one file."""
        stores = [SqliteStore(tmp_path / "posthouse.db") for _ in range(2)]
        for store in stores:
            await store.start()
        yield stores
        for store in stores:
            await store.stop()

    @pytest.fixture
    def catalog(self, catalogs: list[SqliteStore]) -> SqliteStore:
        return catalogs[0]

    @pytest.fixture
    def other(self, catalogs: list[SqliteStore]) -> SqliteStore:
        return catalogs[1]
