"""The frozen audience of a campaign becomes messages in the PostgreSQL database, a slice in each transaction.

Who enlists locks the people that it takes and passes over those that others have, so any number of processes do so at once.
Its last statement places the messages as `save` does, and is short. For who sends them at once they are leased with it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from posthouse.mail import advance
from posthouse.mail.campaign import Campaign
from posthouse.mail.retry import until
from posthouse.store.base import Draft
from posthouse.store.campaign import campaign_of, drafts, gives_people, person_of
from posthouse.store.catalog.campaigns import Mails, MakeDraft
from posthouse.store.content import encode
from posthouse.store.postgres.change import INTO_COUNTERS, INTO_SHARES, columns_of, spots_of, stands
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.kept import locked, rewrite
from posthouse.store.postgres.records import pack
from posthouse.store.postgres.suppressions import suppressed
from posthouse.store.tally import CREATED, QUARTER, Tally

TAKE = f"""
WITH taken AS (
  DELETE FROM audience WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM audience WHERE campaign = $1 AND email > $2 ORDER BY email LIMIT $3 FOR UPDATE SKIP LOCKED))
  RETURNING email, address, name, roles, variables)
SELECT {NOW} AS at, taken.* FROM taken ORDER BY email"""
_SUMS = f"""SELECT * FROM unnest($15::text[], $16::bigint[], $17::bigint[])
    UNION ALL SELECT '{CREATED}', created_at - created_at % {QUARTER}, count(*) FROM placed GROUP BY 2"""
ENLIST = f"""
WITH given AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[],
    $9::bytea[], $10::text[]) WITH ORDINALITY
    AS given (id, due_at, expires_at, status, state, owner, record, shown, data, email, nth)
), base AS (
  UPDATE place SET seq = place.seq + $12, created_at = greatest(place.created_at + 1, $13) + $12 - 1
  RETURNING place.seq - $12 AS seq, place.created_at - $12 AS created_at
), placed AS MATERIALIZED (
  SELECT given.*, base.seq + nth AS seq, base.created_at + nth AS created_at FROM given, base
), into_messages AS (
  INSERT INTO messages (seq, created_at, due_at, expires_at, losses, id, status, state, lane, campaign, owner, record)
  SELECT seq, created_at, due_at, expires_at, 0, id, status, state, 'bulk', $11::text, owner, record FROM placed
), into_contents AS (
  INSERT INTO contents (seq, shown, data) SELECT seq, shown, data FROM placed
), into_recipients AS (
  INSERT INTO recipients (email, seq) SELECT email, seq FROM placed
), into_shares AS (
  {INTO_SHARES.format(shard="$14::int", spots="$18::text[], $19::text[], $20::text[], $21::text[], $22::bigint[]")}
), into_counters AS (
  {INTO_COUNTERS.format(shard="$14::int", sums=_SUMS)}
)
SELECT nth, created_at FROM placed"""
ANY = "SELECT EXISTS (SELECT FROM audience WHERE campaign = $1)"


async def enlist(
    connection: Connection, id: str, limit: int, make: MakeDraft, after: str, shard: int
) -> str | None:
    """Makes messages of the next behind the key `after`; the last key, None where there were fewer than `limit`."""
    campaign = await _campaign(connection, id)
    if campaign is None or not gives_people(campaign):
        return None
    taken = await connection.fetch(TAKE, id, after, limit)
    if taken:
        await _write(connection, campaign, await _made(connection, campaign, taken, make), shard)
    return _last(taken, limit)


class Drawing(NamedTuple):
    """What was drawn, and the last key, None where there were fewer than asked for."""

    mails: Mails
    last: str | None


async def draw(
    connection: Connection,
    tried: list[Drawing],
    id: str,
    limit: int,
    make: MakeDraft,
    owner: str,
    lease: float,
    after: str,
    shard: int,
) -> Drawing:
    """The same, each leased to `owner`. `tried` is kept over the tries of one call: what an earlier one wrote, whose commit
    was not answered."""
    for earlier in tried:
        if await stands(connection, {message.id: message for message, _ in earlier.mails}):
            return earlier
    campaign = await _campaign(connection, id)
    if campaign is None or campaign.phase != "running" or not campaign.frozen:
        return Drawing([], None)
    taken = await connection.fetch(TAKE, id, after, limit)
    new = await _made(connection, campaign, taken, make) if taken else []
    mails = [(draft.message, draft.content) for draft in new if draft.message.open]
    for message, _ in mails:
        advance.claim(message, owner, until(taken[0]["at"], lease))
    tried[:] = [Drawing(mails, _last(taken, limit))]
    if new:
        await _write(connection, campaign, new, shard)
    return tried[0]


async def ready(connection: Connection, id: str) -> bool:
    """Notes that all of the audience are messages, if that is so."""
    found = await locked(connection, id)
    if found is None:
        return True
    if not gives_people(found[0]) or await connection.fetchval(ANY, id):
        return False
    await rewrite(connection, msgspec.structs.replace(found[0], ready=True))
    return True


async def _campaign(connection: Connection, id: str) -> Campaign | None:
    row = await connection.fetchrow("SELECT record, completed_at FROM campaigns WHERE id = $1", id)
    return None if row is None else campaign_of(row["record"], row["completed_at"])


async def _made(
    connection: Connection, campaign: Campaign, taken: Sequence[Any], make: MakeDraft
) -> list[Draft]:
    """The mail of these people."""
    at: int = taken[0]["at"]
    held_back = await suppressed(connection, [row["email"] for row in taken], "bulk", at)
    new = list(drafts(campaign, [person_of(*row[2:]) for row in taken], held_back, make).values())
    for draft in new:
        advance.accept(draft.message, at, draft.expire, suppressed=draft.suppressed)
    return new


async def _write(connection: Connection, campaign: Campaign, new: Sequence[Draft], shard: int) -> None:
    """Writes mail that was made of an audience; the database says when each was created."""
    messages = [draft.message for draft in new]
    tally = Tally()
    tally.frozen(campaign.id, -len(new))
    for message in messages:
        tally.entered(message)
    contents = [encode(draft.content) for draft in new]
    given = [
        [m.id for m in messages],
        [m.due_at for m in messages],
        [m.expires_at for m in messages],
        [m.status for m in messages],
        [m.state for m in messages],
        [m.owner for m in messages],
        [pack(m) for m in messages],
        [shown for shown, _ in contents],
        [data for _, data in contents],
        [m.recipients[0].email for m in messages],
    ]
    at = messages[0].created_at
    counts = [*columns_of(tally), *spots_of(tally.spots)]
    for row in await connection.fetch(ENLIST, *given, campaign.id, len(new), at, shard, *counts):
        messages[row["nth"] - 1].created_at = row["created_at"]


def _last(taken: Sequence[Any], limit: int) -> str | None:
    return taken[-1]["email"] if len(taken) == limit else None
