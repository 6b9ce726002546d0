"""A backup of a SQLite file that is in use, and a file made of it: whole, checked, never over another."""

import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.store.audit import audit
from posthouse.store.migrate import SchemaMismatch
from posthouse.store.sqlite import SqliteStore
from posthouse.store.sqlite.backup import BadBackup, back_up, check, restoring
from posthouse.testing.store_mail import everything, saved


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


def restore(source: Path, path: Path) -> None:
    with restoring(source, str(path)):
        pass


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_what_is_in_it_and_what_comes_later(store: SqliteStore, tmp_path: Path) -> None:
    before = await saved(store, 5)
    target = tmp_path / "backup.db"
    assert back_up(str(tmp_path / "posthouse.db"), target) == 5
    await saved(store)
    (tmp_path / "there").mkdir()
    restore(target, tmp_path / "there/posthouse.db")
    assert names(tmp_path / "there") == {"posthouse.db"}
    again = SqliteStore(tmp_path / "there/posthouse.db")
    await again.start()
    try:
        assert await everything(again) == before[::-1]
        assert (await audit(again)).findings == []
        assert again.identity != store.identity
    finally:
        await again.stop()


async def test_writers_go_on_meanwhile(store: SqliteStore, tmp_path: Path) -> None:
    await saved(store, 2000)
    made = threading.Thread(target=back_up, args=(str(tmp_path / "posthouse.db"), tmp_path / "backup.db"))
    made.start()
    while made.is_alive():
        await saved(store)
    made.join()
    count = check(tmp_path / "backup.db")
    assert 2000 <= count <= len(await everything(store))


async def test_it_is_private(store: SqliteStore, tmp_path: Path) -> None:
    back_up(str(tmp_path / "posthouse.db"), tmp_path / "backup.db")
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600


async def test_nothing_is_overwritten(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("mine")
    with pytest.raises(BadBackup, match="nothing is overwritten"):
        back_up(str(tmp_path / "posthouse.db"), target)
    assert target.read_text() == "mine"
    good = tmp_path / "good.db"
    back_up(str(tmp_path / "posthouse.db"), good)
    with pytest.raises(BadBackup, match="nothing is overwritten"):
        restore(good, target)
    assert target.read_text() == "mine"
    (tmp_path / "new.db-wal").touch()
    with pytest.raises(BadBackup, match=r"new\.db-wal is there"):
        restore(good, tmp_path / "new.db")


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadBackup, match="is not there"):
        back_up(str(tmp_path / "none.db"), tmp_path / "backup.db")
    assert names(tmp_path) == set()


async def test_a_backup_that_cannot_be_used_leaves_nothing_behind(store: SqliteStore, tmp_path: Path) -> None:
    await saved(store, 300)
    good = tmp_path / "good.db"
    back_up(str(tmp_path / "posthouse.db"), good)
    data = bytearray(good.read_bytes())
    data[8192:12288] = b"\xff" * 4096
    there = tmp_path / "there"
    there.mkdir()
    bad = {"damaged": bytes(data), "text": b"hello " * 999, "empty": b"", "half": good.read_bytes()[:20_000]}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadBackup):
            restore(tmp_path / name, there / "posthouse.db")
        assert names(there) == set(), name
    with pytest.raises(BadBackup, match="No such file"):
        restore(tmp_path / "none", there / "posthouse.db")


async def test_a_backup_of_a_newer_version(store: SqliteStore, tmp_path: Path) -> None:
    back_up(str(tmp_path / "posthouse.db"), tmp_path / "backup.db")
    with sqlite3.connect(tmp_path / "backup.db") as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'x', 'y', 'z')")
    connection.close()
    with pytest.raises(SchemaMismatch, match="9999"):
        restore(tmp_path / "backup.db", tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
