"""A limit: the rows that Posthouse wrote, put into the same tables again with nothing in the way but SQLite.

Batches of 64 mails, one transaction each, write-ahead log, synchronous=FULL: what durable accept could at most be.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any

BATCH = 64
TABLES = ("messages", "contents", "recipients")
Rows = list[list[tuple[Any, ...]]]


def commits_per_second(source: Path, target: Path, mails: int) -> float:
    """Mails a second, for up to `mails` of those in `source`."""
    batches = _batches(source, mails)
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for statement in _schema(source):
        connection.execute(statement)
    start = time.perf_counter()
    for batch in batches:
        _commit(connection, batch)
    seconds = time.perf_counter() - start
    connection.close()
    return len(batches) * BATCH / seconds


def _commit(connection: sqlite3.Connection, batch: Rows) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table, rows in zip(TABLES, batch, strict=True):
        marks = "(" + ",".join("?" * len(rows[0])) + ")"
        values = ",".join([marks] * len(rows))
        flat = [value for row in rows for value in row]
        connection.execute(f"INSERT INTO {table} VALUES {values}", flat)
    connection.execute("COMMIT")


def _batches(source: Path, mails: int) -> list[Rows]:
    connection = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    kept = [
        connection.execute(f"SELECT * FROM {t} ORDER BY seq LIMIT ?", (mails,)).fetchall() for t in TABLES
    ]
    connection.close()
    whole = len(kept[0]) // BATCH * BATCH
    return [[rows[at : at + BATCH] for rows in kept] for at in range(0, whole, BATCH)]


def _schema(source: Path) -> list[str]:
    connection = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    marks = ",".join("?" * len(TABLES))
    query = f"SELECT sql FROM sqlite_master WHERE tbl_name IN ({marks}) AND sql IS NOT NULL ORDER BY rootpage"
    statements = [sql for (sql,) in connection.execute(query, TABLES)]
    connection.close()
    return statements
