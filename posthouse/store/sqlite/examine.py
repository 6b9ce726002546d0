"""What can be said of a SQLite file: its folder, and whether a commit is on disk before it is answered."""

import sqlite3
from pathlib import Path

from posthouse.check import Check, examine_folder

DURABLE = 2
"""PRAGMA synchronous = FULL."""
LARGE = 256 << 20
"""Bytes of a write-ahead log that somebody keeps from being cut off."""


def examine_file(connection: sqlite3.Connection, path: str) -> list[Check]:
    """Asks the connection that writes."""
    return [*examine_folder("store", Path(path).absolute().parent), _durable(connection), *_log(Path(path))]


def _durable(connection: sqlite3.Connection) -> Check:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    if mode == "wal" and level >= DURABLE:
        return Check("store", "ok", "a commit is on disk before it is answered (WAL, synchronous=FULL)")
    found = f"a commit may be lost with the power (journal_mode={mode}, synchronous={level})"
    return Check(
        "store", "fail", found, "put the file on a file system that lets SQLite use its write-ahead log"
    )


def _log(path: Path) -> list[Check]:
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size < LARGE:
        return []
    found = f"its write-ahead log has grown to {size / 1e6:.0f} MB"
    return [
        Check("store", "warn", found, "something reads without end; look for an audit or a backup that hangs")
    ]
