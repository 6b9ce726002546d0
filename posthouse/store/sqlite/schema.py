"""Bringing a SQLite file to this version's schema, under the write lock so that two starts cannot collide."""

import sqlite3

from posthouse.store.migrate import SchemaMismatch, migrations, pending
from posthouse.store.sqlite.writer import connect

TABLE = """CREATE TABLE IF NOT EXISTS migrations (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"""


def migrate(path: str) -> list[str]:
    """Applies what is missing, all or nothing; answers the names of what it applied."""
    connection = connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(TABLE)
        todo = pending(migrations("sqlite"), _applied(connection))
        for migration in todo:
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, datetime('now'))",
                (migration.number, migration.name, migration.checksum),
            )
        connection.execute("COMMIT")
        return [migration.name for migration in todo]
    finally:
        connection.close()


def require(path: str) -> None:
    """Raises SchemaMismatch, saying what to do, unless the schema is exactly this version's."""
    connection = connect(path)
    try:
        connection.execute(TABLE)
        missing = pending(migrations("sqlite"), _applied(connection))
    finally:
        connection.close()
    if missing:
        raise SchemaMismatch(f"the store lacks migration {missing[0].name}: run `posthouse migrate`")


def _applied(connection: sqlite3.Connection) -> dict[int, str]:
    return dict(connection.execute("SELECT number, checksum FROM migrations"))
