"""A clock that was set back by an hour, in SQLite: mail that waits does not wait an hour more, a retry keeps its wait."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.mail.retry import Policy
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import DEFERRED, LONG, draft, said

LATER = "UPDATE messages SET created_at = created_at + 3600000000, due_at = due_at + 3600000000"
"""As the records stand to a clock that was set back."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "mail.db")
    await store.start()
    yield store
    await store.stop()


async def test_what_waits_is_claimed(store: SqliteStore, tmp_path: Path) -> None:
    ids = [saved.message.id for saved in await store.save([draft(), draft(), draft()])]
    set_back(tmp_path)
    await store.sweep()
    by_name = await store.claim("worker", 9, 60.0, ids=ids[:1])
    others = await store.claim("worker", 9, 60.0)
    assert [message.id for message in (*by_name, *others)] == ids


async def test_what_is_deferred_waits(store: SqliteStore, tmp_path: Path) -> None:
    """It came to its wait after the clock was set back, so its due_at is before its created_at."""
    (saved,) = await store.save([draft()])
    set_back(tmp_path)
    await store.sweep()
    (message,) = await store.claim("worker", 9, 60.0)
    await store.settle([said(message, DEFERRED, policy=Policy(backoff=LONG))])
    assert await store.claim("worker", 9, 60.0) == []
    assert await store.claim("worker", 9, 60.0, ids=[saved.message.id]) == []


async def test_what_is_scheduled_waits(store: SqliteStore) -> None:
    (saved,) = await store.save([draft(scheduled_at=1 << 52)])
    assert await store.claim("worker", 9, 60.0, ids=[saved.message.id]) == []
    assert await store.claim("worker", 9, 60.0) == []


def set_back(folder: Path) -> None:
    with sqlite3.connect(folder / "mail.db") as connection:
        connection.execute(LATER)
    connection.close()
