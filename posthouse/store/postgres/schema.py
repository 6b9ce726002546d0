"""What a PostgreSQL server must be before we trust it with mail, and the schema of this version on it."""

from collections.abc import Sequence
from typing import Any

from posthouse.store.base import StoreUnfit
from posthouse.store.migrate import Migration, SchemaMismatch, migrations, pending
from posthouse.store.postgres.connection import Connection

VERSION = 15
LOCK = 0x706F7374686F7573
"""The advisory lock of migrations ("posthous"): held for the transaction, so two starts cannot collide."""

TABLE = """CREATE TABLE IF NOT EXISTS migrations (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL)"""


async def require_fit(connection: Connection) -> None:
    """Raises StoreUnfit unless a commit on this server is on disk when it is answered, and its text can hold any name."""
    row = await connection.fetchrow(
        """SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync,
          current_setting('synchronous_commit') AS synchronous_commit,
          current_setting('server_encoding') AS encoding"""
    )
    if row["version"] < VERSION * 10_000:
        raise StoreUnfit(f"PostgreSQL {row['version'] // 10_000} is too old: {VERSION} or newer is needed")
    if row["encoding"] != "UTF8":
        raise StoreUnfit(f"the database is in {row['encoding']}: mail needs one made with ENCODING 'UTF8'")
    for name in ("fsync", "synchronous_commit"):
        if row[name] == "off":
            raise StoreUnfit(
                f"PostgreSQL runs with {name} = off: a crash would lose accepted mail; set it to on"
            )


async def migrate(connection: Connection) -> list[str]:
    """Applies what is missing, all or nothing; answers the names of what it applied."""
    await connection.execute("BEGIN")
    await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
    await connection.execute(TABLE)
    todo = pending(migrations("postgres"), await _applied(connection))
    for migration in todo:
        await _apply(connection, migration)
    await connection.execute("COMMIT")
    return [migration.name for migration in todo]


async def require(connection: Connection) -> None:
    """Raises SchemaMismatch, saying what to do, unless the schema is exactly this version's."""
    await connection.execute("BEGIN")
    exists = await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL")
    missing: Sequence[Migration] = pending(
        migrations("postgres"), await _applied(connection) if exists else {}
    )
    await connection.execute("COMMIT")
    if missing:
        raise SchemaMismatch(f"the store lacks migration {missing[0].name}: run `posthouse migrate`")


async def _apply(connection: Connection, migration: Migration) -> None:
    for statement in migration.statements:
        await connection.execute(statement)
    await connection.execute(
        "INSERT INTO migrations VALUES ($1, $2, $3, now())",
        migration.number,
        migration.name,
        migration.checksum,
    )


async def _applied(connection: Connection) -> dict[int, str]:
    rows: list[Any] = await connection.fetch("SELECT number, checksum FROM migrations")
    return {row["number"]: row["checksum"] for row in rows}
