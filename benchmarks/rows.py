"""A limit: rows of the size of a record, put into a table of their own in batches and each written once more, with nothing in
the way but the driver. What a record of each mail could at most be."""

import asyncio
import sqlite3
import time
from pathlib import Path

import asyncpg

BATCH = 128
RECORD = bytes(500)


def rows_per_second(store: str, rows: int) -> float:
    """In the store of a URL; every batch is a commit on the disk."""
    if store.startswith("sqlite:"):
        return _sqlite(Path("/", store.removeprefix("sqlite:///")).with_name("rows.db"), rows)
    return asyncio.run(_postgres(store, rows))


def _sqlite(path: Path, rows: int) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, record BLOB NOT NULL)")
    marks = ",".join(["(?, ?)"] * BATCH)
    start = time.perf_counter()
    for first in range(0, rows, BATCH):
        numbers = range(first, first + BATCH)
        connection.execute(f"INSERT INTO rows VALUES {marks}", [x for n in numbers for x in (n, RECORD)])
        connection.execute("UPDATE rows SET record = ? WHERE seq >= ?", (RECORD[:-1], first))
    seconds = time.perf_counter() - start
    connection.close()
    return rows / seconds


async def _postgres(store: str, rows: int) -> float:
    connection = await asyncpg.connect(store)
    await connection.execute("CREATE TABLE rows (seq BIGINT PRIMARY KEY, record BYTEA NOT NULL)")
    put = await connection.prepare("INSERT INTO rows SELECT * FROM unnest($1::bigint[], $2::bytea[])")
    write = await connection.prepare(
        "UPDATE rows SET record = new.record FROM unnest($1::bigint[], $2::bytea[]) AS new (seq, record) WHERE rows.seq = new.seq"
    )
    start = time.perf_counter()
    for first in range(0, rows, BATCH):
        numbers = list(range(first, first + BATCH))
        await put.fetch(numbers, [RECORD] * BATCH)
        await write.fetch(numbers, [RECORD[:-1]] * BATCH)
    seconds = time.perf_counter() - start
    await connection.execute("DROP TABLE rows")
    await connection.close()
    return rows / seconds
