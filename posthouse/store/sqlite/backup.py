"""A backup of a SQLite file while it is in use, and what makes a file of one again.

Rules: nothing is ever overwritten. A backup is read back and checked before it is called one. A restored file gets an
identity of its own, so that the journals of workers that went on after the backup was made say nothing about it:
its leases and fences begin anew where the backup stood, and the same fence would mean another attempt.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Generator
from pathlib import Path

from posthouse.mail.errors import StoreAway
from posthouse.store.sqlite.schema import migrate
from posthouse.store.sqlite.writer import connect

NEW_IDENTITY = "UPDATE facts SET value = lower(hex(randomblob(16))) WHERE name = 'identity'"


class BadBackup(Exception):
    """It cannot be made, or cannot be used; the text says why."""


def back_up(path: str, target: Path) -> int:
    """Writes the store at `path`, as it is now, to `target`, which must not exist yet; how many records it holds.

    Writers go on meanwhile. Raises BadBackup, or StoreAway when the store cannot be read.
    """
    if not Path(path).exists():
        raise BadBackup(f"{path} is not there")
    with _placed(target) as part:
        connection = connect(path)
        try:
            connection.execute("VACUUM INTO ?", (str(part),))
        except sqlite3.Error as error:
            raise StoreAway(f"SQLite: the backup cannot be written: {error}") from error
        finally:
            connection.close()
        return check(part)


@contextlib.contextmanager
def restoring(source: Path, path: str) -> Generator[Path]:
    """A copy of the backup under an identity of its own and with this version's schema; once the context has ended
    well it is the store at `path`, which must not exist yet. Raises BadBackup, or SchemaMismatch for a newer one."""
    for leftover in (f"{path}-wal", f"{path}-shm"):
        if Path(leftover).exists():
            raise BadBackup(f"{leftover} is there: it belongs to another file; move it away first")
    with _placed(Path(path)) as part:
        try:
            shutil.copyfile(source, part)
        except OSError as error:
            raise BadBackup(f"{source}: {error.strerror}") from None
        check(part)
        migrate(str(part))
        _alone(part, NEW_IDENTITY)
        yield part
        _alone(part, "PRAGMA wal_checkpoint(TRUNCATE)")


def check(path: Path) -> int:
    """Reads the whole of a file that nobody writes to; how many records it holds. Raises BadBackup."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise BadBackup(f"{path} is damaged: {verdict}")
        connection.execute("SELECT value FROM facts WHERE name = 'identity'").fetchone()[0]
        (records,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise BadBackup(f"{path} is not a store of Posthouse: {error}") from None
    finally:
        connection.close()
    return records


def _alone(part: Path, statement: str) -> None:
    """Runs a statement as the file's only user: with the end of it all is in the file, and nothing beside it."""
    connection = connect(str(part))
    connection.execute(statement)
    connection.close()


@contextlib.contextmanager
def _placed(target: Path) -> Generator[Path]:
    """A file to be written beside `target`, which takes its name, on disk, once the context has ended well. The name is
    taken at once by an empty file, so that two cannot write to it."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise BadBackup(f"{target}: {error.strerror}; nothing is overwritten") from None
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
        _to_disk(part)
        part.replace(target)
        _to_disk(target.absolute().parent)
    except BaseException:
        for name in (part.name, f"{part.name}-wal", f"{part.name}-shm", target.name):
            target.with_name(name).unlink(missing_ok=True)
        raise


def _to_disk(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
