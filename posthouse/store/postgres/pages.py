"""What is read from PostgreSQL without a lock: lists, totals, contents. Each question is one statement, so one snapshot.

The order of creation is the order of `seq`, and seq has no gaps (see save): page n is a range of seq and costs the same
at any depth. What the filters want is found by `search`.
"""

from collections.abc import Sequence
from typing import Any

from posthouse.mail.advance import LONELY
from posthouse.mail.lifecycle import STATES, State
from posthouse.mail.message import LANES, SECOND, Content, Lane, Message
from posthouse.mail.retention import precedes
from posthouse.store.base import Listed, Overview, Page, Query, Totals, UnknownCursor, Waiting
from posthouse.store.content import decode, listed
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.records import unpack
from posthouse.store.postgres.search import Found, newest, walks
from posthouse.store.tally import state_counter

BEYOND = (1 << 63) - 1
"""A seq that no record has."""

FIRST = "(SELECT value::bigint FROM facts WHERE name = 'first')"
"""The first place that is kept; from there on there is no gap."""
_SHOWN = """coalesce((SELECT coalesce(shown, data) FROM contents WHERE contents.seq = found.seq),
  (SELECT data FROM heads WHERE heads.seq = found.seq)) AS shown"""
"""Asked for each row that is listed: a join would sometimes be planned through all contents."""
_STATE_COUNTERS = [state_counter(state) for state in STATES]
_TOTAL = (
    "(SELECT coalesce(sum(n), 0) FROM counters WHERE bucket = 0 AND name = ANY($1::text[]))::bigint AS total"
)

GET = """SELECT created_at, record, coalesce(contents.data, heads.data) AS data FROM messages
  LEFT JOIN contents USING (seq) LEFT JOIN heads USING (seq) WHERE id = $1"""
CONTENTS = "SELECT id, data FROM messages JOIN contents USING (seq) WHERE id = ANY($1::text[])"
NAMED = f"SELECT key, id FROM keys WHERE scope = $1 AND key = ANY($2::text[]) AND expires_at > {NOW}"
HELD = "SELECT created_at, record FROM messages WHERE owner = $1"
TOTALS = """SELECT name, sum(n)::bigint AS n FROM counters
  WHERE name IN ('created', 'sent', 'failed') AND bucket >= $1 AND bucket < $2 GROUP BY name"""
STATES_NOW = (
    "SELECT name, sum(n)::bigint AS n FROM counters WHERE bucket = 0 AND name = ANY($1::text[]) GROUP BY name"
)

_WAITING = "FROM messages WHERE due_at IS NOT NULL AND owner IS NULL AND lane = $1 AND campaign = ''"
WAITING = f"SELECT count(*) AS count, min(due_at) AS since {_WAITING} AND due_at <= (SELECT {NOW})"
NEXT_DUE = f"""SELECT due_at - {NOW} FROM messages WHERE seq = (
  SELECT seq {_WAITING} AND losses < $2 AND expires_at + 0 > (SELECT {NOW}) ORDER BY due_at, seq LIMIT 1)"""

_LISTED = f"""
SELECT totals.total, found.*, {_SHOWN} FROM (SELECT {_TOTAL}) AS totals LEFT JOIN (
  SELECT seq, created_at, record FROM messages WHERE {{where}}) AS found ON true ORDER BY found.seq {{order}}"""
PAGE = _LISTED.format(where=f"seq >= $2::bigint + {FIRST} ORDER BY seq LIMIT $3", order="")
NEWEST = _LISTED.format(where="seq >= $2 AND seq < $3 ORDER BY seq DESC LIMIT $4", order="DESC")
AT_PLACES = f"""SELECT seq, created_at, record, {_SHOWN} FROM messages AS found WHERE seq = ANY($1::bigint[])
  ORDER BY seq DESC"""

OLDEST = f"SELECT first, created_at FROM (SELECT {FIRST} AS first) AS kept LEFT JOIN messages ON seq = first"

FIRST_SINCE = f"""
WITH RECURSIVE halves (low, high) AS (
  SELECT {FIRST}, (SELECT seq + 1 FROM place)
  UNION ALL
  SELECT CASE WHEN probe.created_at < $1 THEN probe.seq + 1 ELSE low END,
    CASE WHEN probe.created_at < $1 THEN high ELSE (low + high) / 2 END
  FROM halves LEFT JOIN LATERAL (
    SELECT seq, created_at FROM messages WHERE seq >= (low + high) / 2 ORDER BY seq LIMIT 1) AS probe ON true
  WHERE low < high
)
SELECT low FROM halves WHERE low >= high"""
"""The first seq created at or after a time: created_at grows with seq, so halving finds it, and needs no index."""


async def get(connection: Connection, id: str) -> tuple[Message, Content | None] | None:
    """One record with its content."""
    row = await connection.fetchrow(GET, id)
    if row is None:
        return None
    return unpack(row), None if row["data"] is None else decode(row["data"])


async def contents(connection: Connection, ids: Sequence[str]) -> dict[str, Content]:
    """The contents of these ids that are still kept."""
    return {row["id"]: decode(row["data"]) for row in await connection.fetch(CONTENTS, list(ids))}


async def named(connection: Connection, scope: str, keys: Sequence[str]) -> dict[str, str]:
    """The ids that these keys lead to."""
    return {row["key"]: row["id"] for row in await connection.fetch(NAMED, scope, list(keys))}


async def held(connection: Connection, owner: str) -> list[Message]:
    """All that an owner holds."""
    return [unpack(row) for row in await connection.fetch(HELD, owner)]


async def totals(connection: Connection, since: int, until: int) -> Totals:
    """Sums of the quarter-hour buckets in the span."""
    rows = await connection.fetch(TOTALS, since, until)
    return Totals(**{row["name"]: row["n"] for row in rows})


async def overview(connection: Connection) -> Overview:
    """Counts by state; and what waits: a walk over what is due."""
    rows = {row["name"]: row["n"] for row in await connection.fetch(STATES_NOW, _STATE_COUNTERS)}
    states: dict[State, int] = {state: rows.get(state_counter(state), 0) for state in STATES}
    lanes: dict[Lane, Waiting] = {}
    for lane in LANES:
        row = await connection.fetchrow(WAITING, lane)
        lanes[lane] = Waiting(row["count"], row["since"])
    return Overview(states, lanes)


async def next_due(connection: Connection, lanes: Sequence[Lane]) -> float | None:
    """Seconds until the next message that `claim` would give is due."""
    found = [await connection.fetchval(NEXT_DUE, lane, LONELY) for lane in lanes]
    return min((max(0.0, each / SECOND) for each in found if each is not None), default=None)


async def page(connection: Connection, query: Query) -> Page:
    """See the port."""
    return await (_descending if query.page is None else _ascending)(connection, query)


async def _ascending(connection: Connection, query: Query) -> Page:
    start = min((max(query.page or 1, 1) - 1) * query.limit, BEYOND // 2)
    rows = await connection.fetch(PAGE, _STATE_COUNTERS, start, query.limit)
    return Page(_items(rows), None, rows[0]["total"])


async def _descending(connection: Connection, query: Query) -> Page:
    low = 0 if query.since is None else await _first_since(connection, query.since)
    high = await _end(connection, query)
    if together := walks(query):
        return await _found(connection, await newest(connection, together, low, high, query.limit + 1), query)
    rows = await connection.fetch(NEWEST, _STATE_COUNTERS, low, high, query.limit + 1)
    items = _items(rows[: query.limit])
    total = None if query.filtered else rows[0]["total"]
    return Page(items, items[-1].message.id if len(rows) > query.limit else None, total)


async def _found(connection: Connection, found: Found, query: Query) -> Page:
    """The records of these places, of which there is one more than asked for if there are more."""
    seqs, stopped = found.seqs[: query.limit], found.stopped
    if len(found.seqs) > query.limit:
        stopped = seqs[-1]
    items = _items(await connection.fetch(AT_PLACES, seqs))
    cursor = stopped and await connection.fetchval("SELECT id FROM messages WHERE seq = $1", stopped)
    return Page(items, cursor or None)


def _items(rows: Sequence[Any]) -> list[Listed]:
    return [listed(unpack(row), row["shown"]) for row in rows if row["seq"] is not None]


async def _end(connection: Connection, query: Query) -> int:
    """The seq that a query stops before."""
    end = BEYOND if query.until is None else await _first_since(connection, query.until)
    if query.cursor is None:
        return end
    cursor = await connection.fetchval("SELECT seq FROM messages WHERE id = $1", query.cursor)
    if cursor is not None:
        return min(end, cursor)
    row = await connection.fetchrow(OLDEST)
    if row["first"] > 1 and precedes(query.cursor, row["created_at"]):
        return 0
    raise UnknownCursor


async def _first_since(connection: Connection, at: int) -> int:
    return await connection.fetchval(FIRST_SINCE, at)
