"""The one thread that writes to a SQLite file: jobs that wait together share one transaction, and so one fsync.

Rules: a job is a function of the connection, run inside BEGIN IMMEDIATE; its result is answered after the commit.
A job that fails takes only its own savepoint with it. A transaction takes no further job once it is FULL_AFTER old,
so that nobody waits long for the lock. What the disk or the lock refuses becomes StoreAway; nothing was written then.
"""

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

Job = Callable[[sqlite3.Connection], Any]


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection as this store uses it: write-ahead log, every commit on disk before it is answered."""
    connection = sqlite3.connect(
        path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = MEMORY")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


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
            if self._transact(first):
                return

    def _transact(self, first: tuple[Job, "Future[Any]"]) -> bool:
        """One transaction; True when the word to stop was met."""
        done: list[tuple[Future[Any], Any, Exception | None]] = []
        stopping = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            first[1].set_exception(_away(error))
            return False
        started = time.monotonic()
        entry: tuple[Job, Future[Any]] | None = first
        while entry is not None:
            done.append(self._step(*entry))
            if time.monotonic() - started > FULL_AFTER or not self._connection.in_transaction:
                break
            try:
                entry = self._jobs.get_nowait()
                stopping = entry is None
            except queue.Empty:
                break
        self._commit(done)
        return stopping

    def _step(self, job: Job, future: "Future[Any]") -> tuple["Future[Any]", Any, Exception | None]:
        try:
            self._connection.execute("SAVEPOINT job")
            result = job(self._connection)
            self._connection.execute("RELEASE job")
            return future, result, None
        except Exception as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO job")
                self._connection.execute("RELEASE job")
            return future, None, _away(error)

    def _commit(self, done: list[tuple["Future[Any]", Any, Exception | None]]) -> None:
        failure: Exception | None = None
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            failure = _away(error)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        for future, result, error in done:
            if error or failure:
                future.set_exception(error or failure)
            else:
                future.set_result(result)


def _away(error: Exception) -> Exception:
    """Full disk, lost file, lock not had, read-only: the store's trouble. Anything else is a bug and stays so."""
    if isinstance(error, sqlite3.OperationalError) and "syntax" not in str(error):
        return StoreAway(f"SQLite: {error}")
    return error
