"""What PostgreSQL forgets, a slice a call, passing over what others have locked: keys past their time, and what providers
told, and their names for mail, too long ago to matter. And the shards of counters that nobody adds to any more become one.

Besides, tables that have grown many times over since the planner looked are shown to it: a plan that was made for a few rows
would walk all of a table that a campaign has filled meanwhile, until autovacuum comes by.
"""

from posthouse.mail.message import SECOND
from posthouse.store.base import NOTICE_SECONDS
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.pages import FIRST_SINCE

SLICE = 500
PAGES = 64
"""Pages of the table of names that are looked through in a call."""
SILENT = 86_400
"""Seconds after whose beginning no window of a rate matters."""
SETTLED, REACH = 3600 * SECOND, 86_400 * SECOND
"""How long ago a counter's quarter of an hour began when its shards are put together, and how much further that looks."""
OWN_SHARD = -1
"""The shard of counters that no mail on its way adds to: so nothing here is waited for."""
_OLD = f"(SELECT {NOW}) - {NOTICE_SECONDS * SECOND}"

KEYS = f"""DELETE FROM keys WHERE (scope, key) IN (
  SELECT scope, key FROM keys WHERE expires_at <= (SELECT {NOW}) ORDER BY expires_at LIMIT {SLICE}
  FOR UPDATE SKIP LOCKED)"""
NOTICES = f"""DELETE FROM notices WHERE (provider, key) IN (
  SELECT provider, key FROM notices WHERE received_at <= {_OLD} LIMIT {SLICE} FOR UPDATE SKIP LOCKED)"""

RATES = f"""DELETE FROM rates WHERE name IN (
  SELECT name FROM rates WHERE start < (SELECT {NOW}) / {SECOND}.0 - {SILENT} LIMIT {SLICE} FOR UPDATE SKIP LOCKED)"""

MERGE = f"""
WITH clock AS MATERIALIZED (SELECT {NOW} - {SETTLED} AS at), old AS (
  SELECT name, bucket, shard FROM counters WHERE name = ANY ('{{created,sent,failed}}')
    AND bucket > (SELECT at FROM clock) - {REACH} AND bucket < (SELECT at FROM clock) AND shard <> {OWN_SHARD}
  ORDER BY name, bucket, shard FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM counters USING old
  WHERE counters.name = old.name AND counters.bucket = old.bucket AND counters.shard = old.shard
  RETURNING counters.name, counters.bucket, counters.n
)
INSERT INTO counters (name, bucket, shard, n)
SELECT name, bucket, {OWN_SHARD}, sum(n) FROM gone GROUP BY name, bucket ORDER BY name, bucket
ON CONFLICT (name, bucket, shard) DO UPDATE SET n = counters.n + excluded.n"""

NAMES = """DELETE FROM provider_names WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM provider_names WHERE ctid >= $1::text::tid AND ctid < $2::text::tid AND seq < $3
  FOR UPDATE SKIP LOCKED))"""
"""No index leads to old names: one would cost each mail that is sent more than this walk costs all of them."""
SIZE = "SELECT pg_relation_size('provider_names') / current_setting('block_size')::bigint"

SET_BACK = f"SELECT created_at > {NOW} + {SECOND} FROM place"
"""Whether a mail has a time that is still to come: then the clock was set back."""
GROWN = """SELECT relname FROM pg_class
  WHERE oid = ANY ('{messages,contents,recipients,audience,contacts,contact_roles}'::regclass[])
    AND pg_relation_size(oid) / current_setting('block_size')::bigint > 8 * greatest(relpages, 8)"""


async def was_set_back(connection: Connection) -> bool:
    """Whether the clock was, since the newest mail was accepted."""
    return await connection.fetchval(SET_BACK)


async def sweep(connection: Connection, page: int) -> int:
    """See the port. `page` is where the walk over the names has come to; answers where it goes on."""
    for statement in (KEYS, NOTICES, RATES, MERGE):
        await connection.execute(statement)
    for row in await connection.fetch(GROWN):
        await connection.execute(f"ANALYZE (SKIP_LOCKED) {row['relname']}")
    oldest = await connection.fetchval(FIRST_SINCE, await connection.fetchval(f"SELECT {_OLD}"))
    await connection.execute(NAMES, f"({page},0)", f"({page + PAGES},0)", oldest)
    further = page + PAGES
    return further if further < await connection.fetchval(SIZE) else 0
