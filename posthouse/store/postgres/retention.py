"""What PostgreSQL forgets of old mail (posthouse.mail.retention): a slice a call, each a transaction of its own.

Rules: nobody is waited for. What others have locked is passed over, one process at a time deletes records (it holds the
row of `facts` that says which place is the first), and what is counted goes to a shard that nobody else writes. Records
go from the first place on without a gap, so a page stays a range of seq.
"""

from collections.abc import Sequence
from itertools import count, takewhile
from typing import NamedTuple

from posthouse.mail.message import SECOND
from posthouse.mail.retention import head, may_go
from posthouse.store.content import decode, encode
from posthouse.store.postgres.change import COUNT, columns_of, spots_of
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.pages import FIRST_SINCE
from posthouse.store.postgres.records import Row, rows, unpack
from posthouse.store.postgres.sweep import OWN_SHARD
from posthouse.store.tally import Tally

SLICE = 200
"""Messages that a call looks at."""
BEFORE = f"SELECT {NOW} - $1::bigint"

BODIES = """
SELECT found.seq, messages.created_at, record, coalesce(shown, data) AS shown FROM (
  SELECT seq, shown, data FROM contents WHERE seq > $1::bigint AND seq < $2::bigint ORDER BY seq LIMIT $3::bigint
) AS found JOIN messages USING (seq) ORDER BY seq"""
LOCK = """
SELECT seq FROM messages WHERE seq = ANY($1::bigint[]) AND due_at IS NULL ORDER BY seq FOR UPDATE SKIP LOCKED"""
BEHEAD = """
WITH gone AS (DELETE FROM contents WHERE seq = ANY($1::bigint[]) RETURNING seq)
INSERT INTO heads (seq, data) SELECT seq, data FROM gone JOIN unnest($1::bigint[], $2::bytea[]) AS new (seq, data)
  USING (seq)"""

ALONE = "SELECT value::bigint FROM facts WHERE name = 'first' FOR UPDATE SKIP LOCKED"
OLDEST = """
SELECT seq, created_at, record FROM messages WHERE seq >= $1::bigint AND seq < least($2, $1 + $3::bigint)
ORDER BY seq FOR UPDATE SKIP LOCKED"""
OF_PLACES = "DELETE FROM {table} WHERE seq >= $1::bigint AND seq < $2::bigint"
OF_IDS = "DELETE FROM {table} WHERE id = ANY($1::text[])"
NAMED = """
DELETE FROM {table} USING unnest($1::text[], $2::bigint[]) AS gone (name, seq)
WHERE {table}.{column} = gone.name AND {table}.seq = gone.seq"""
MOVE = "UPDATE facts SET value = $1 WHERE name = 'first'"

SHARE = f"""INSERT INTO shares (campaign, domain, state, category, shard, n, gone)
  SELECT campaign, domain, state, category, {OWN_SHARD}, 0, n
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
    AS gone (campaign, domain, state, category, n)
  ORDER BY campaign, domain, state, category
  ON CONFLICT (campaign, domain, state, category, shard) DO UPDATE SET gone = shares.gone + excluded.gone"""


class Look(NamedTuple):
    """How far the bodies were looked through: `after` this place, having `kept` the first of those passed over."""

    after: int = 0
    kept: int | None = None


async def forget_bodies(connection: Connection, look: Look, age: float) -> tuple[int, Look]:
    """Cuts the next SLICE contents that may go down to their heads; how many, and where to go on."""
    before = await connection.fetchval(BEFORE, round(age * SECOND))
    end = await connection.fetchval(FIRST_SINCE, before)
    found = await connection.fetch(BODIES, look.after, end, SLICE)
    old = {row["seq"]: row["shown"] for row in found if may_go(unpack(row), before)}
    gone = [row["seq"] for row in await connection.fetch(LOCK, list(old))] if old else []
    if gone:
        heads = [encode(head(decode(old[seq])))[1] for seq in gone]
        await connection.execute(BEHEAD, gone, heads)
    return len(gone), _further(look, [row["seq"] for row in found], set(gone))


def _further(look: Look, seen: Sequence[int], gone: set[int]) -> Look:
    """At its end a look begins again with the first that was passed over: what is before that is gone for good."""
    after = max(seen, default=look.after)
    kept = look.kept or next((seq for seq in seen if seq not in gone), None)
    if len(seen) == SLICE:
        return Look(after, kept)
    return Look(after if kept is None else kept - 1)


async def forget_records(connection: Connection, age: float) -> int:
    """Deletes the oldest records, up to the first that must be kept, and what goes with them; how many."""
    first = await connection.fetchval(ALONE)
    if first is None:
        return 0
    before = await connection.fetchval(BEFORE, round(age * SECOND))
    end = await connection.fetchval(FIRST_SINCE, before)
    found = rows(await connection.fetch(OLDEST, first, end, SLICE)) if end > first else []
    old = takewhile(
        lambda row: row[0].seq == row[1] and may_go(row[0].message, before), zip(found, count(first))
    )
    if gone := [row for row, _ in old]:
        await _delete(connection, gone)
    return len(gone)


async def _delete(connection: Connection, gone: Sequence[Row]) -> None:
    end = gone[-1].seq + 1
    for table in ("messages", "contents", "heads"):
        await connection.execute(OF_PLACES.format(table=table), gone[0].seq, end)
    for table in ("keys", "notices"):
        await connection.execute(OF_IDS.format(table=table), [message.id for _, message in gone])
    emails = [(each.email, seq) for seq, message in gone for each in message.recipients]
    tags = [(tag, seq) for seq, message in gone for tag in message.tags]
    for table, column, named in (("recipients", "email", emails), ("tags", "tag", tags)):
        names, seqs = [name for name, _ in named], [seq for _, seq in named]
        await connection.execute(NAMED.format(table=table, column=column), names, seqs)
    tally = Tally()
    for _, message in gone:
        tally.removed(message)
    await connection.execute(COUNT, OWN_SHARD, *columns_of(tally))
    if tally.gone:
        await connection.execute(SHARE, *spots_of(tally.gone))
    await connection.execute(MOVE, str(end))
