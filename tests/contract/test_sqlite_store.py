"""The SQLite store keeps the contract of stores and that of catalogs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.store.sqlite import SqliteStore
from posthouse.testing.campaigns import CampaignContract
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


class TwoOnOneFile:
    @pytest.fixture
    async def two(self, tmp_path: Path) -> AsyncIterator[list[SqliteStore]]:
        stores = [SqliteStore(tmp_path / "posthouse.db") for _ in range(2)]
        for store in stores:
            await store.start()
        yield stores
        for store in stores:
            await store.stop()

    @pytest.fixture
    def other(self, two: list[SqliteStore]) -> SqliteStore:
        return two[1]


class TestSqliteCatalog(TwoOnOneFile, CatalogContract):
    @pytest.fixture
    def catalog(self, two: list[SqliteStore]) -> SqliteStore:
        return two[0]


class TestSqliteCampaigns(TwoOnOneFile, CampaignContract):
    @pytest.fixture
    def store(self, two: list[SqliteStore]) -> SqliteStore:
        return two[0]
