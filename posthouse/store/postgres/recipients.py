"""What happens to the messages of a campaign as a whole in the PostgreSQL database, a slice in each transaction."""

from posthouse.mail import advance
from posthouse.store.base import UnknownCursor
from posthouse.store.campaign import fits, retried_states
from posthouse.store.catalog.campaigns import Chosen, Retried, Slice
from posthouse.store.postgres.change import HAVE_BODY, REOPEN, Tried, change_rows, lock
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.records import rows, unpack

_OF = "FROM messages WHERE campaign = $1 AND campaign <> '' AND state"
WAITING = f"""
SELECT {NOW} AS at, found.* FROM (
  SELECT seq, created_at, record {_OF} = ANY ('{{pending,deferred}}') LIMIT $2 FOR UPDATE SKIP LOCKED) AS found"""
IN_THE_AIR = f"SELECT created_at, record {_OF} = 'sending'"
STEP = """
SELECT ids.id, ids.seq FROM unnest($2::text[]) AS wanted CROSS JOIN LATERAL (
  SELECT id, seq FROM messages WHERE campaign = $1 AND campaign <> '' AND state = wanted AND seq > $3
  ORDER BY campaign, state, seq LIMIT $4) AS ids
ORDER BY ids.seq LIMIT $4"""


async def cancel_slice(connection: Connection, tried: Tried, id: str, limit: int, shard: int) -> Slice:
    """See the port."""
    phase = await connection.fetchval("SELECT phase FROM campaigns WHERE id = $1", id)
    if phase != "canceled":
        return "done"
    found = await connection.fetch(WAITING, id, limit)
    if found:
        at = found[-1]["at"]
        await change_rows(connection, tried, rows(found), lambda m: advance.cancel(m, at), shard)
        return "more"
    sending = [unpack(row) for row in await connection.fetch(IN_THE_AIR, id)]
    unasked = [message.id for message in sending if not message.cancel_asked]
    at, locked = await lock(connection, unasked[:limit])
    still = [row for row in locked if row.message.open]
    await change_rows(connection, tried, still, lambda m: advance.cancel(m, at), shard)
    return "more" if len(unasked) > limit else "done"


async def retry_slice(
    connection: Connection,
    tried: Tried,
    id: str,
    chosen: Chosen,
    limit: int,
    expire: float,
    cursor: str | None,
    shard: int,
) -> Retried:
    """See the port."""
    after = 0 if cursor is None else await _place(connection, cursor)
    found = await connection.fetch(STEP, id, retried_states(chosen), after, limit)
    further = found[-1]["id"] if len(found) == limit else None
    at, locked = await lock(connection, [row["id"] for row in found])
    bodies = {row["seq"] for row in await connection.fetch(HAVE_BODY, [row.seq for row in locked])}
    states = retried_states(chosen)
    fitting = [
        row
        for row in locked
        if row.seq in bodies and row.message.state in states and fits(row.message, chosen)
    ]
    if fitting:
        await change_rows(connection, tried, fitting, lambda m: advance.retry(m, at, expire), shard)
        await connection.execute(REOPEN, id)
    return Retried(len(fitting), further)


async def _place(connection: Connection, cursor: str) -> int:
    place = await connection.fetchval("SELECT seq FROM messages WHERE id = $1", cursor)
    if place is None:
        raise UnknownCursor
    return place
