"""The SQLite store below its port: durable commits, shared by what waits together; a full disk, a lock, a lost caller."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import SECOND
from posthouse.store.base import Draft, Query
from posthouse.store.sqlite import SqliteStore, writer
from posthouse.store.sqlite.writer import FULL_AFTER, Writer
from posthouse.testing.store_mail import LONG, draft, everything, key, microseconds
from posthouse.testing.store_walk import Walker

PATIENCE = 20.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def plain(tmp_path: Path):
    """A Writer on a file with one small table."""
    made = Writer(str(tmp_path / "plain.db"))
    made.start()
    made.submit(lambda c: c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")).result(PATIENCE)
    yield made
    made.stop()


async def on_writer(store: SqliteStore, sql: str) -> Any:
    """Runs a statement on the connection that writes."""
    return await store._write(lambda connection: connection.execute(sql).fetchone())


def insert(number: int) -> Callable[[sqlite3.Connection], int]:
    def job(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return job


def numbers(made: Writer) -> list[int]:
    return made.submit(lambda c: [n for (n,) in c.execute("SELECT n FROM t ORDER BY n")]).result(PATIENCE)


class Gate:
    """A job that holds the writer until it is opened, so that others gather behind it."""

    def __init__(self, made: Writer) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self.statements: list[str] = []
        made.submit(self._hold)
        assert self.entered.wait(PATIENCE)

    def _hold(self, connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(self.statements.append)
        self.entered.set()
        assert self.open.wait(PATIENCE)

    def count(self, word: str) -> int:
        return sum(statement.startswith(word) for statement in self.statements)


async def test_the_connection_that_writes_is_durable(store: SqliteStore) -> None:
    """WAL with synchronous=FULL (2): every commit is on disk before it is answered."""
    assert await on_writer(store, "PRAGMA synchronous") == (2,)
    assert await on_writer(store, "PRAGMA journal_mode") == ("wal",)


def test_jobs_that_wait_together_share_commits(plain: Writer) -> None:
    gate = Gate(plain)
    futures = [plain.submit(insert(number)) for number in range(100)]
    gate.open.set()
    assert [future.result(PATIENCE) for future in futures] == list(range(100))
    assert gate.count("COMMIT") <= 20
    assert numbers(plain) == list(range(100))


async def test_concurrent_saves_share_commits(store: SqliteStore) -> None:
    statements: list[str] = []
    await store._write(lambda connection: connection.set_trace_callback(statements.append))
    await asyncio.gather(*(store.save([draft()]) for _ in range(100)))
    commits = sum(statement.startswith("COMMIT") for statement in statements)
    assert 1 <= commits <= 40
    assert len(await everything(store)) == 100


def test_a_transaction_that_is_old_takes_no_further_job(plain: Writer) -> None:
    """So that nobody waits long for the lock: each of these jobs alone makes its transaction old (the first may still
    be in that of the gate)."""
    gate = Gate(plain)
    started = threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        started.clear()
        started.wait(2 * FULL_AFTER)

    futures = [plain.submit(slow) for _ in range(4)]
    gate.open.set()
    for future in futures:
        future.result(PATIENCE)
    assert gate.count("BEGIN") >= 3


def test_a_job_that_fails_takes_only_itself_along(plain: Writer) -> None:
    gate = Gate(plain)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (50)")
        raise KeyError("a bug")

    futures = [plain.submit(job) for job in (insert(1), half, insert(2), insert(1), insert(3))]
    gate.open.set()
    assert futures[0].result(PATIENCE) == 1
    assert isinstance(futures[1].exception(PATIENCE), KeyError)
    assert isinstance(futures[3].exception(PATIENCE), sqlite3.IntegrityError)
    assert numbers(plain) == [1, 2, 3]


def test_a_job_whose_caller_is_gone_is_left_out_and_hurts_nobody(plain: Writer) -> None:
    gate = Gate(plain)
    first, gone, last = plain.submit(insert(1)), plain.submit(insert(2)), plain.submit(insert(3))
    assert gone.cancel()
    gate.open.set()
    assert (first.result(PATIENCE), last.result(PATIENCE)) == (1, 3)
    assert numbers(plain) == [1, 3]


async def test_a_caller_that_is_cancelled_while_it_waits_hurts_nobody(store: SqliteStore) -> None:
    for _ in range(20):
        task = asyncio.create_task(store.save([draft()]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.save([draft()])
    assert len(await everything(store)) >= 20


def test_a_transaction_that_sqlite_took_back_is_told_to_all_of_its_jobs(plain: Writer) -> None:
    gate = Gate(plain)

    def taken_back(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("as a full disk may do")

    futures = [plain.submit(insert(1)), plain.submit(taken_back), plain.submit(insert(2))]
    gate.open.set()
    assert isinstance(futures[0].exception(PATIENCE), StoreAway)
    assert futures[1].exception(PATIENCE) is not None
    assert futures[2].result(PATIENCE) == 2
    assert numbers(plain) == [2]


def test_stop_runs_what_was_submitted(tmp_path: Path) -> None:
    made = Writer(str(tmp_path / "stop.db"))
    made.start()
    made.submit(lambda c: c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    futures = [made.submit(insert(number)) for number in range(50)]
    made.stop()
    assert [future.result(0) for future in futures] == list(range(50))


async def test_a_full_disk_is_away_and_leaves_nothing_half_written(store: SqliteStore) -> None:
    await store.save([draft(key=key("before"))])
    before = await everything(store)
    (pages,) = await on_writer(store, "PRAGMA page_count")
    await on_writer(store, f"PRAGMA max_page_count = {pages + 20}")
    huge = draft(key=key("huge"), content={"text": "x" * 2_000_000})
    small = draft()
    results = await asyncio.gather(store.save([huge]), store.save([small]), return_exceptions=True)
    assert isinstance(results[0], StoreAway)
    kept = [] if isinstance(results[1], StoreAway) else [small.message.id]
    assert [m.id for m in await everything(store)] == [*kept, before[0].id]
    await Walker(store).check()
    await on_writer(store, "PRAGMA max_page_count = 1000000")
    (saved,) = await store.save([huge])
    assert saved.created
    assert len(saved.message.history) == 1
    await Walker(store).check()


async def test_a_file_that_cannot_be_written_is_away(store: SqliteStore) -> None:
    await on_writer(store, "PRAGMA query_only = ON")
    for call in (store.save([draft()]), store.ping(), store.claim("worker", 1, LONG)):
        with pytest.raises(StoreAway, match="readonly"):
            await call
    assert (await store.page(Query(page=1))).total == 0


async def test_a_lock_that_another_process_keeps_is_away(store: SqliteStore, tmp_path: Path) -> None:
    await on_writer(store, "PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "posthouse.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreAway, match="locked"):
        await store.save([draft()])
    assert await everything(store) == []
    other.execute("ROLLBACK")
    other.close()
    await store.save([draft()])


@pytest.mark.parametrize("what", ["a folder", "no database", "no way"])
async def test_a_place_that_cannot_be_used_is_away(tmp_path: Path, what: str) -> None:
    path = tmp_path / "posthouse.db"
    if what == "a folder":
        path.mkdir()
    else:
        path.write_text("this is no database " * 500)
    store = SqliteStore(path / "deeper.db" if what == "no way" else path)
    with pytest.raises(StoreAway, match=r"posthouse\.db"):
        await store.start()


def test_bugs_are_not_taken_for_an_absent_store(plain: Writer) -> None:
    future = plain.submit(lambda c: c.execute("SELECT nonsense FROM nowhere"))
    assert isinstance(future.exception(PATIENCE), sqlite3.OperationalError)
    error = StoreAway("kept")
    assert writer.away(error) is error


async def test_a_batch_with_a_culprit_stores_nothing_and_can_be_split(store: SqliteStore) -> None:
    """What Batcher does after a batch failed: the record is as if it had come only once."""
    twice, other = draft(), draft(key=key("k"))
    with pytest.raises(sqlite3.IntegrityError):
        await store.save([other, twice, twice])
    assert await everything(store) == []
    (again,) = await store.save([other])
    assert again.created
    assert len((await everything(store))[0].history) == 1
    await Walker(store).check()


async def test_the_order_holds_and_nothing_waits_when_the_clock_goes_back(
    store: SqliteStore, tmp_path: Path
) -> None:
    """The last record is from tomorrow: the next comes after it in the list, and is due now all the same."""
    (first,) = await store.save([draft()])
    tomorrow = microseconds(86_400)
    with sqlite3.connect(tmp_path / "posthouse.db") as other:
        other.execute(
            "UPDATE messages SET created_at = ?, record = json_set(record, '$.created_at', ?)",
            (tomorrow, tomorrow),
        )
    one, two = await store.save([draft(), draft()])
    assert tomorrow < one.message.created_at < two.message.created_at
    claimed = await store.claim("worker", 10, LONG)
    assert [m.id for m in claimed] == [first.message.id, one.message.id, two.message.id]
    assert one.message.expires_at < microseconds(LONG + 5)
    assert abs(one.message.history[0].at - microseconds()) < 5 * SECOND


CLAIMER = """
import asyncio, sys
from posthouse.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.start()
    while claimed := await store.claim(sys.argv[2], 3, 600.0):
        print(*(message.id for message in claimed), flush=True)
    await store.stop()

asyncio.run(main())
"""


async def test_two_processes_on_one_file(store: SqliteStore, tmp_path: Path) -> None:
    """They save and claim at the same time; nobody gets what another has, nothing is left, and the counts add up."""
    early: list[Draft] = [draft() for _ in range(300)]
    await store.save(early)
    command = [sys.executable, "-c", CLAIMER, str(tmp_path / "posthouse.db")]
    others = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("one", "two")
    ]
    late = [draft(scheduled_at=microseconds(LONG)) for _ in range(50)]
    mine: list[str] = []
    for each in late:
        await store.save([each])
        mine += [message.id for message in await store.claim("parent", 2, LONG)]
    outputs = await asyncio.gather(*(asyncio.to_thread(other.communicate, timeout=60) for other in others))
    assert [other.returncode for other in others] == [0, 0]
    got = mine + [id for out, _ in outputs for id in out.split()]
    assert sorted(got) == sorted(each.message.id for each in early)
    await Walker(store).check()
