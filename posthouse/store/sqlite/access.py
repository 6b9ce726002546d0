"""How the parts of the SQLite store reach their file: jobs for the one writer thread, queries for a few readers."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from posthouse.mail.errors import StoreAway
from posthouse.store.sqlite.schema import migrate, require
from posthouse.store.sqlite.writer import Writer, away, connect

READERS = 3
"""Threads that read."""
PATIENCE = 5.0
"""Seconds after which a store that does not answer is away."""

P = ParamSpec("P")
T = TypeVar("T")


class Access:
    """The file at `path`. Each part of the store and of the catalog is a class that derives from this one."""

    def __init__(self, path: str | Path, *, migrating: bool = True) -> None:
        self._path = str(path)
        self._migrating = migrating
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []

    async def start(self) -> None:
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(migrate if self._migrating else require, self._path)
            self._writer = Writer(self._path)
            self._writer.start()
        except (sqlite3.Error, OSError) as error:
            raise StoreAway(f"SQLite cannot use {self._path}: {self._trouble(error)}") from error
        self._pool = ThreadPoolExecutor(READERS, "sqlite-reader")

    async def stop(self) -> None:
        await asyncio.to_thread(self._writer.stop)
        self._pool.shutdown()
        for connection in self._readers:
            connection.close()

    async def _write(
        self, job: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        future = self._writer.submit(lambda connection: job(connection, *args, **kwargs))
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise StoreAway("SQLite: no answer in time") from None

    async def _read(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def run() -> T:
            try:
                return query(self._reader(), *args, **kwargs)
            except sqlite3.Error as error:
                raise away(error) from None

        return await asyncio.wrap_future(self._pool.submit(run))

    def _trouble(self, error: Exception) -> str:
        """SQLite does not say what is most often the matter: beside its file it needs to write others."""
        folder = Path(self._path).parent
        if folder.is_dir() and not os.access(folder, os.W_OK):
            return f"{error} ({folder.resolve()} can only be read)"
        return str(error)

    def _reader(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = connect(self._path, read_only=True)
            self._readers.append(self._local.connection)
        return self._local.connection
