"""What happens to mail on PostgreSQL once it is saved: claim, renew, release, settle, retry. Each is a transaction.

Records are read under row locks, changed by mail.advance, written back in one statement together with the tally. A
claim skips what is locked, so claimers never wait for each other; whoever must have its rows locks them in the order of
`seq`, and counters come last: no two can deadlock. The clock is read when the locks are held, so times only grow.

Each takes `tried`, kept over the tries of one call: what an earlier try wrote, whose commit was not answered. If that
stands there, it was committed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from posthouse.mail import advance
from posthouse.mail.advance import LONELY, Settlement
from posthouse.mail.message import SECOND, Content, Lane, Message
from posthouse.mail.retry import until
from posthouse.store.content import encode
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.records import Row, pack, rows
from posthouse.store.tally import Spot, Tally, before

SHARDS = 8
"""Rows that a counter is spread over."""
OFTEN = 3
"""Messages of a batch that share a spot, beyond which the spot is spread over shards: so a domain that many mails go to
holds up no other writer, and one of a few has one row."""

Tried = dict[str, Message]

INTO_SHARES = f"""INSERT INTO shares (campaign, domain, state, category, shard, n, gone)
  SELECT campaign, domain, state, category, CASE WHEN abs(n) > {OFTEN} THEN {{shard}} ELSE 0 END, n, 0
  FROM unnest({{spots}}) AS moved (campaign, domain, state, category, n)
  ORDER BY campaign, domain, state, category
  ON CONFLICT (campaign, domain, state, category, shard) DO UPDATE SET n = shares.n + excluded.n"""
INTO_COUNTERS = """INSERT INTO counters (name, bucket, shard, n)
  SELECT name, bucket, {shard}, n FROM ({sums}) AS added (name, bucket, n) ORDER BY name, bucket
  ON CONFLICT (name, bucket, shard) DO UPDATE SET n = counters.n + excluded.n"""
"""What spots_of and columns_of give, added to what is counted."""

_LOCKED = f"""
WITH clock AS MATERIALIZED (SELECT {NOW} AS at)
SELECT {NOW} AS at, found.* FROM (SELECT seq, created_at, record FROM messages WHERE {{where}}) AS found"""
_AT = "(SELECT at FROM clock)"
_READY = f"due_at <= {_AT} - $1::bigint AND {{free}} AND expires_at + 0 > {_AT}"
_SKIP = "ORDER BY due_at, seq LIMIT $2::bigint FOR UPDATE SKIP LOCKED"
_DUE = f"""{_READY.format(free="due_at IS NOT NULL AND owner IS NULL")}
  AND lane = $3 AND campaign = $5 AND {{losses}}
  AND NOT EXISTS (SELECT FROM campaigns WHERE campaigns.id = $5 AND phase <> 'running') {_SKIP}"""
_GIVEN = f"""id = ANY($3::text[]) AND {_READY.format(free="coalesce(owner, '') = ''")}
  AND losses < $4::int {_SKIP}"""
"""`+ 0` and `coalesce` keep these from the indexes that hold all that waits: the planner, whose figures may be old, takes
them for small."""

CLAIM = _LOCKED.format(where=_DUE.format(losses="losses < $4::int"))
CLAIM_ALONE = _LOCKED.format(where=_DUE.format(losses="losses > 0 AND losses >= $4::int"))
CLAIM_IDS = _LOCKED.format(where=_GIVEN)
LAPSED = _LOCKED.format(where=f"owner IS NOT NULL AND due_at <= {_AT} - $1::bigint {_SKIP}")
EXPIRED = _LOCKED.format(
    where=f"""due_at IS NOT NULL AND due_at <= {_AT} - $1::bigint AND owner IS NULL AND expires_at <= {_AT}
      ORDER BY expires_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED"""
)
THESE = _LOCKED.format(where="id = ANY($1::text[]) ORDER BY seq FOR UPDATE")

SET_BACK = _LOCKED.format(
    where=f"""due_at IS NOT NULL AND owner IS NULL AND due_at > {_AT}
      AND due_at BETWEEN created_at - {SECOND} AND created_at LIMIT $1::bigint FOR UPDATE SKIP LOCKED"""
)
"""What has been due since it was accepted, by a clock that was set back since."""

WRITE = f"""
WITH new AS (
  SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::int[],
    $8::bytea[]) AS new (seq, status, state, due_at, owner, expires_at, losses, record)
), into_shares AS (
  {INTO_SHARES.format(shard="$9::int", spots="$13::text[], $14::text[], $15::text[], $16::text[], $17::bigint[]")}
), into_counters AS (
  {INTO_COUNTERS.format(shard="$9::int", sums="SELECT * FROM unnest($10::text[], $11::bigint[], $12::bigint[])")}
)
UPDATE messages SET status = new.status, state = new.state, due_at = new.due_at, owner = new.owner, expires_at = new.expires_at,
  losses = new.losses, record = new.record
FROM new WHERE messages.seq = new.seq"""

COUNT = INTO_COUNTERS.format(
    shard="$1::int", sums="SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[])"
)
REOPEN = "UPDATE campaigns SET completed_at = NULL WHERE id = $1 AND completed_at IS NOT NULL"
HAVE_BODY = "SELECT seq FROM contents WHERE seq = ANY($1::bigint[])"
KEEP = """
UPDATE contents SET shown = new.shown, data = new.data
FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS new (seq, shown, data) WHERE contents.seq = new.seq"""


async def claim(
    connection: Connection,
    tried: Tried,
    owner: str,
    limit: int,
    lease: float,
    lanes: Sequence[Lane],
    campaign: str | None,
    overdue: float,
    alone: bool,
    shard: int,
) -> list[Message]:
    """Leases the oldest that are due, lane by lane, of a campaign or of none."""
    if await stands(connection, tried):
        return list(tried.values())
    found: list[Any] = []
    for lane in lanes:
        if room := limit - len(found):
            query = CLAIM_ALONE if alone else CLAIM
            asked = round(overdue * SECOND), room, lane, LONELY, campaign or ""
            found += await connection.fetch(query, *asked)
    return await _lease(connection, tried, found, owner, lease, shard)


async def claim_ids(
    connection: Connection,
    tried: Tried,
    owner: str,
    limit: int,
    lease: float,
    ids: Sequence[str],
    shard: int,
) -> list[Message]:
    """Leases those of `ids` that are due and free."""
    if await stands(connection, tried):
        return list(tried.values())
    found = await connection.fetch(CLAIM_IDS, 0, limit, list(ids), LONELY)
    return await _lease(connection, tried, found, owner, lease, shard)


async def take(
    connection: Connection, tried: Tried, query: str, owner: str, limit: int, lease: float, shard: int
) -> list[Message]:
    """Leases what LAPSED or EXPIRED finds."""
    if await stands(connection, tried):
        return list(tried.values())
    found = await connection.fetch(query, 0, limit)
    return await _lease(connection, tried, found, owner, lease, shard)


async def renew(
    connection: Connection, owner: str, ids: Sequence[str], lease: float, shard: int
) -> list[str]:
    """Moves the end of the leases that `owner` holds."""
    at, found = await lock(connection, ids)
    mine = [row for row in found if row.message.owner == owner]
    await change_rows(connection, {}, mine, lambda message: advance.renew(message, until(at, lease)), shard)
    return [row.message.id for row in mine]


async def release(
    connection: Connection, tried: Tried, leases: Sequence[tuple[str, int]], wait: float, shard: int
) -> None:
    """Hands back what is still held under these fences."""
    if await stands(connection, tried):
        return
    at, found = await lock(connection, [id for id, _ in leases])
    held = {(row.message.id, row.message.fence) for row in found if row.message.owner is not None}
    good = {id for id, fence in leases if (id, fence) in held}
    mine = [row for row in found if row.message.id in good]
    await change_rows(connection, tried, mine, lambda message: advance.release(message, wait, at), shard)


async def hasten(connection: Connection, tried: Tried, limit: int, shard: int) -> int:
    """Makes a slice of SET_BACK due by the new time; how many."""
    if not await stands(connection, tried):
        found = await connection.fetch(SET_BACK, limit)
        at = found[-1]["at"] if found else 0
        await change_rows(connection, tried, rows(found), lambda message: advance.hasten(message, at), shard)
    return len(tried)


async def settle(
    connection: Connection, tried: Tried, settlements: Sequence[Settlement], shard: int
) -> list[Message | None]:
    """Writes outcomes under fences that are still good; of two for one lease the first."""
    if not await stands(connection, tried):
        at, found = await lock(connection, [each.id for each in settlements])
        records = {row.message.id: row.message for row in found}
        good = {
            each.id: each
            for each in reversed(settlements)
            if each.id in records and advance.fits(records[each.id], each)
        }
        mine = [row for row in found if row.message.id in good]
        await change_rows(connection, tried, mine, lambda m: advance.settle(m, good[m.id], at), shard)
    unsaid = dict(tried)
    fences = {id: message.fence for id, message in tried.items()}
    fitting = [each.fence is None or each.fence == fences.get(each.id) for each in settlements]
    return [
        unsaid.pop(each.id, None) if fit else None for each, fit in zip(settlements, fitting, strict=True)
    ]


async def keep(connection: Connection, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
    """Rewrites contents under fences that are still good; done twice it is the same."""
    _, found = await lock(connection, [id for id, _, _ in rendered])
    held = {(row.message.id, row.message.fence): row.seq for row in found if row.message.owner is not None}
    good = [(held[id, fence], id, encode(content)) for id, fence, content in rendered if (id, fence) in held]
    await connection.execute(
        KEEP, [seq for seq, _, _ in good], [each[0] for _, _, each in good], [each[1] for _, _, each in good]
    )
    return [id for _, id, _ in good]


async def retry(connection: Connection, tried: Tried, id: str, expire: float, shard: int) -> Message | None:
    """Makes failed and unknown recipients due again."""
    if not await stands(connection, tried):
        at, found = await lock(connection, [id])
        kept = [row["seq"] for row in await connection.fetch(HAVE_BODY, [row.seq for row in found])]
        await change_rows(
            connection, tried, found, lambda m: advance.retry(m, at, expire) if kept else None, shard
        )
        for _, message in found:
            if message.campaign and message.open:
                await connection.execute(REOPEN, message.campaign)
    return tried.get(id)


async def lock(connection: Connection, ids: Sequence[str]) -> tuple[int, list[Row]]:
    """The clock and the records of these ids, locked."""
    found = await connection.fetch(THESE, list(ids))
    return (found[-1]["at"] if found else 0), rows(found)


async def _lease(
    connection: Connection, tried: Tried, found: Sequence[Any], owner: str, lease: float, shard: int
) -> list[Message]:
    ends = until(found[-1]["at"], lease) if found else 0
    await change_rows(connection, tried, rows(found), lambda m: advance.claim(m, owner, ends), shard)
    return list(tried.values())


async def change_rows(
    connection: Connection,
    tried: Tried,
    found: Sequence[Row],
    change: Callable[[Message], Any],
    shard: int,
) -> None:
    """Changes and writes back; `tried` then holds what should stand there."""
    tally = Tally()
    for _, message in found:
        was = before(message)
        change(message)
        tally.changed(was, message)
    tried.clear()
    tried.update({message.id: message for _, message in found})
    if found:
        await connection.execute(WRITE, *_columns(found), shard, *columns_of(tally), *spots_of(tally.spots))


async def stands(connection: Connection, tried: Tried) -> bool:
    """Whether what an earlier try of the same call wrote was committed."""
    if not tried:
        return False
    _, found = await lock(connection, list(tried))
    return any(row.message == tried[row.message.id] for row in found)


def _columns(found: Sequence[Row]) -> list[list[Any]]:
    messages = [message for _, message in found]
    return [
        [seq for seq, _ in found],
        [m.status for m in messages],
        ["" if m.campaign is None else m.state for m in messages],
        [m.due_at for m in messages],
        [m.owner for m in messages],
        [m.expires_at for m in messages],
        [m.losses for m in messages],
        [pack(m) for m in messages],
    ]


def columns_of(tally: Tally) -> list[list[Any]]:
    """Names, buckets and how much to add."""
    sums = [(name, bucket, n) for (name, bucket), n in tally.sums.items() if n]
    return [[name for name, _, _ in sums], [bucket for _, bucket, _ in sums], [n for _, _, n in sums]]


def spots_of(spots: Mapping[Spot, int]) -> list[list[Any]]:
    """Campaigns, domains, states, categories and how much to add."""
    rows = [(*spot, n) for spot, n in spots.items() if n]
    return [[row[place] for row in rows] for place in range(5)]
