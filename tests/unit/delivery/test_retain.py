"""Old mail is forgotten beside the work, until there is none; a store that is away is asked again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from posthouse.delivery import retain as retaining
from posthouse.delivery.retain import retain
from posthouse.mail.errors import StoreAway
from posthouse.store.base import Query
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import ACCEPTED, LONG, said, saved


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


async def until(store: SqliteStore, total: int) -> None:
    """Waits until so many records are left."""
    for _ in range(2000):
        if (await store.page(Query(page=1))).total == total:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("they are still there")


async def test_it_goes_on_while_there_is_more(store: SqliteStore) -> None:
    for _ in range(3):
        await saved(store, 100)
        leased = await store.claim("worker", 100, LONG)
        await store.settle([said(message, ACCEPTED) for message in leased])
    (kept,) = await saved(store)
    task = asyncio.create_task(retain(store, 0.0, 0.0))
    await until(store, 1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await store.get(kept.id) is not None


async def test_a_store_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(retaining, "IDLE", 0.01)
    asked = asyncio.Semaphore(0)

    class Away(SqliteStore):
        async def prune(self, bodies: float | None, records: float | None) -> int:
            asked.release()
            raise StoreAway("the disk is full")

    task = asyncio.create_task(retain(Away(tmp_path / "none.db"), 1.0, None))
    async with asyncio.timeout(20):
        for _ in range(3):
            await asked.acquire()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
