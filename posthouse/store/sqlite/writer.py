"""The one thread that writes to a SQLite file: jobs that wait together share one transaction, and so one fsync.

Rules: a job is a function of the connection, run inside BEGIN IMMEDIATE; its result is answered after the commit.
A job that fails takes only its own savepoint with it. A transaction takes no further job once it is FULL_AFTER old,
so that nobody waits long for the lock. What the disk or the lock refuses becomes StoreAway; nothing was written then.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from posthouse.mail.errors import StoreAway

FULL_AFTER = 0.005
"""Seconds after which an open transaction takes no further job."""
BUSY = 4.0
"""Seconds to wait for the lock of another process."""

_TROUBLE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    )
)

Job = Callable[[sqlite3.Connection], Any]


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection as this store uses it: write-ahead log, every commit on disk before it is answered."""
    connection = sqlite3.connect(
        path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = MEMORY")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turns to the write-ahead log. Two that open a new file at once stand in each other's way here, and SQLite then
    gives up at once instead of waiting: it is asked again."""
    ends = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
        time.sleep(0.01)


class Writer:
    """Runs jobs in order on a thread of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    def start(self) -> None:
        """Opens the file and starts the thread."""
        self._connection = connect(self._path)
        self._thread.start()

    def stop(self) -> None:
        """Runs what was submitted, then ends the thread and closes the file."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def submit(self, job: Job) -> "Future[Any]":
        """A future of the job's result, set after the commit that holds it. Safe from any thread."""
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            if first[1].set_running_or_notify_cancel() and self._transact(first):
                return

    def _transact(self, first: tuple[Job, "Future[Any]"]) -> bool:
        """One transaction; True when the word to stop was met."""
        done: list[tuple[Future[Any], Any, Exception | None]] = []
        stopping = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            first[1].set_exception(away(error))
            return False
        started = time.monotonic()
        entry: tuple[Job, Future[Any]] | None = first
        while entry is not None:
            done.append(self._step(*entry))
            if time.monotonic() - started > FULL_AFTER or not self._connection.in_transaction:
                break
            try:
                entry = self._next()
                stopping = entry is None
            except queue.Empty:
                break
        self._commit(done)
        return stopping

    def _next(self) -> tuple[Job, "Future[Any]"] | None:
        """The next job that somebody still waits for; raises queue.Empty."""
        while (entry := self._jobs.get_nowait()) is not None:
            if entry[1].set_running_or_notify_cancel():
                return entry
        return None

    def _step(self, job: Job, future: "Future[Any]") -> tuple["Future[Any]", Any, Exception | None]:
        try:
            self._connection.execute("SAVEPOINT job")
            result = job(self._connection)
            self._connection.execute("RELEASE job")
            return future, result, None
        except Exception as error:
            self._undo_step()
            return future, None, away(error)

    def _undo_step(self) -> None:
        """Takes back one job; where even that is refused, the whole transaction goes."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO job")
                self._connection.execute("RELEASE job")
        except sqlite3.Error:
            self._roll_back()

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _commit(self, done: list[tuple["Future[Any]", Any, Exception | None]]) -> None:
        failure: Exception | None = None
        try:
            if not self._connection.in_transaction:
                raise StoreAway("SQLite: the transaction was taken back")
            self._connection.execute("COMMIT")
        except (sqlite3.Error, StoreAway) as error:
            failure = away(error)
            self._roll_back()
        for future, result, error in done:
            if error or failure:
                future.set_exception(error or failure)
            else:
                future.set_result(result)


def away(error: Exception) -> Exception:
    """Full disk, lost or broken file, lock not had, read-only: the store's trouble, StoreAway. Anything else is a bug
    and stays so."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in _TROUBLE:
        return StoreAway(f"SQLite: {error}")
    return error
