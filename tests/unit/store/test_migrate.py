"""Migrations: each once, unchanged for ever, none that this version does not know, and safe at two starts at once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from posthouse.store.migrate import Migration, SchemaMismatch, migrations, pending
from posthouse.store.sqlite import SqliteStore
from posthouse.store.sqlite.schema import migrate, require

ALL = [migration.name for migration in migrations("sqlite")]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "posthouse.db")


def change(path: str, sql: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(sql)
    connection.close()


def test_each_is_applied_once(path: str) -> None:
    assert migrate(path) == ALL
    assert migrate(path) == []
    require(path)


def test_their_numbers_are_in_order() -> None:
    numbers = [migration.number for migration in migrations("sqlite")]
    assert numbers == sorted(set(numbers))
    assert all(migration.statements for migration in migrations("sqlite"))


def test_one_that_was_changed_afterwards_is_refused(path: str) -> None:
    migrate(path)
    change(path, "UPDATE migrations SET checksum = 'other' WHERE number = 1")
    for check in (migrate, require):
        with pytest.raises(SchemaMismatch, match=f"{ALL[0]}.*restore the file"):
            check(path)


async def test_a_newer_schema_is_refused(path: str) -> None:
    migrate(path)
    change(path, "INSERT INTO migrations VALUES (99, '0099_later', 'x', '2030-01-01')")
    for check in (migrate, require):
        with pytest.raises(SchemaMismatch, match=r"migration 99.*newer Posthouse"):
            check(path)
    with pytest.raises(SchemaMismatch):
        await SqliteStore(path).start()


async def test_a_store_that_may_not_migrate_says_what_to_do(path: str) -> None:
    with pytest.raises(SchemaMismatch, match="run `posthouse migrate`"):
        await SqliteStore(path, migrating=False).start()
    migrate(path)
    store = SqliteStore(path, migrating=False)
    await store.start()
    await store.stop()


def test_it_is_all_or_nothing(path: str) -> None:
    """A table of the same name is in the way: nothing is applied, and the next try says the same."""
    change(path, "CREATE TABLE counters (x)")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="counters already exists"):
            migrate(path)
    with sqlite3.connect(path) as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    connection.close()
    assert tables == {"counters"}


def test_two_starts_at_once(tmp_path: Path) -> None:
    """One applies, the others find it done; none fails."""
    starts = 4
    with ThreadPoolExecutor(starts) as pool:
        for turn in range(10):
            barrier = Barrier(starts)

            def start(path: str = str(tmp_path / f"{turn}.db"), barrier: Barrier = barrier) -> list[str]:
                barrier.wait()
                return migrate(path)

            done = [future.result() for future in [pool.submit(start) for _ in range(starts)]]
            assert sorted(done) == [[]] * (starts - 1) + [ALL]


def test_only_what_is_missing_is_pending() -> None:
    one, two = (Migration(number, f"000{number}_x", f"sum{number}", ("SELECT 1",)) for number in (1, 2))
    assert pending([one, two], {}) == [one, two]
    assert pending([one, two], {1: "sum1"}) == [two]
    assert pending([one, two], {1: "sum1", 2: "sum2"}) == []
