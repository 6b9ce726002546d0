"""What can be said of a PostgreSQL server: whether it can be written, keeps what it answered, has room, and cleans up."""

from posthouse.check import Check
from posthouse.store.postgres.connection import Connection

FEW = 10
"""Connections that should be free, for the processes that are still to come."""
LONG = 600
"""Seconds after which a transaction of somebody holds up the cleaning."""
MANY = 100_000
"""Dead rows of a table from which on it matters that they are as many as the living."""

SERVER = """
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS replica,
  current_setting('transaction_read_only') = 'on' AS read_only, current_setting('autovacuum') = 'on' AS cleans,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS free"""
OPEN = """
SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8 AS seconds FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
DEAD = """
SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema() AND n_dead_tup > greatest(n_live_tup, $1)
ORDER BY n_dead_tup DESC LIMIT 1"""


async def examine_server(connection: Connection, pooled: bool) -> list[Check]:
    """Asks it. That its commits are on disk was asked when it was opened (schema.require_fit)."""
    server = await connection.fetchrow(SERVER)
    through = ", behind a pooler" if pooled else ""
    found = f"PostgreSQL {server['version'].split()[0]}{through}: a commit is on disk before it is answered"
    return [
        Check("store", "ok", found),
        _writable(server["replica"], server["read_only"]),
        _room(server["free"]),
        *_long(await connection.fetchval(OPEN)),
        *_dead(server["cleans"], await connection.fetchval(DEAD, MANY)),
    ]


def _writable(replica: bool, read_only: bool) -> Check:
    if replica:
        return Check(
            "store", "fail", "it is a replica, which takes no mail", "name the primary in POSTHOUSE_STORE"
        )
    if read_only:
        advice = "look for default_transaction_read_only on the server, the database or the user"
        return Check("store", "fail", "its transactions are read-only", advice)
    return Check("store", "ok", "it can be written")


def _room(free: int) -> Check:
    found = f"{max(free, 0)} more connections are free"
    if free >= FEW:
        return Check("store", "ok", found)
    advice = "raise max_connections, put a pooler between, or set connections= in POSTHOUSE_STORE lower"
    return Check("store", "warn", found, advice)


def _long(seconds: float) -> list[Check]:
    if seconds < LONG:
        return []
    found = f"a transaction has been open for {seconds / 60:.0f} minutes, and nothing since can be cleaned up"
    return [Check("store", "warn", found, "look in pg_stat_activity for an audit or a backup that hangs")]


def _dead(cleans: bool, table: str | None) -> list[Check]:
    if not cleans:
        return [Check("store", "warn", "autovacuum is off: tables only grow", "set autovacuum to on")]
    if table is None:
        return []
    found = f"table {table} holds more dead rows than living ones"
    return [
        Check("store", "warn", found, "see that autovacuum keeps up: autovacuum_max_workers, and the disk")
    ]
