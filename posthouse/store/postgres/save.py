"""Saving new mail on PostgreSQL: one statement writes the whole batch, and is its own transaction.

Keys are taken first, in sorted order, so two batches cannot deadlock; who comes second with a key waits for the first
one's commit, is told so, and answers with that message. Then the one row of `place` is locked until the commit: it
gives each message its `seq` and its `created_at`, both growing in the order of commits, `seq` without a gap. No client
is waited for while that row is locked.
"""

from collections.abc import Sequence
from typing import Any

from posthouse.mail import advance
from posthouse.mail.message import Message
from posthouse.mail.retry import until
from posthouse.store.base import Draft, Saved
from posthouse.store.content import encode
from posthouse.store.postgres.change import OFTEN
from posthouse.store.postgres.connection import NOW, Connection
from posthouse.store.postgres.records import pack, unpack
from posthouse.store.tally import CAMPAIGN, CREATED, QUARTER, domain_of

KNOWN = f"""
WITH clock AS MATERIALIZED (SELECT {NOW} AS at)
SELECT at, known.* FROM clock LEFT JOIN LATERAL (
  SELECT scope, key, fingerprint, created_at, record
  FROM unnest($1::text[], $2::text[]) AS asked (scope, key)
  JOIN keys USING (scope, key) JOIN messages USING (id) WHERE keys.expires_at > at) AS known ON true"""

THESE = "SELECT id, created_at, record FROM messages WHERE id = ANY($1::text[])"

SAVE = f"""
WITH given AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bytea[], $9::bytea[], $10::bytea[], $26::bigint[], $27::text[]) WITH ORDINALITY
    AS given (id, due_at, expires_at, status, state, lane, campaign, record, shown, data, failed_at, domain, nth)
), asked AS (
  SELECT * FROM unnest($11::text[], $12::text[], $13::text[], $14::bytea[], $15::bigint[])
    AS asked (id, scope, key, fingerprint, expires_at)
), won AS (
  INSERT INTO keys (scope, key, id, fingerprint, expires_at)
  SELECT scope, key, id, fingerprint, expires_at FROM asked ORDER BY scope, key
  ON CONFLICT (scope, key) DO UPDATE
    SET id = excluded.id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
    WHERE keys.expires_at <= $16::bigint
  RETURNING id
), taken AS MATERIALIZED (
  SELECT given.*, row_number() OVER (ORDER BY nth) AS step FROM given
  WHERE id NOT IN (SELECT id FROM asked) OR id IN (SELECT id FROM won)
), base AS (
  UPDATE place SET seq = place.seq + n, created_at = greatest(place.created_at + 1, $16) + n - 1
  FROM (SELECT count(*) AS n FROM taken) AS counted WHERE n > 0
  RETURNING place.seq - n AS seq, place.created_at - n AS created_at
), placed AS MATERIALIZED (
  SELECT taken.*, base.seq + step AS seq, base.created_at + step AS created_at FROM taken, base
), into_messages AS (
  INSERT INTO messages (seq, created_at, due_at, expires_at, losses, id, status, state, lane, campaign, record)
  SELECT seq, created_at, due_at, expires_at, 0, id, status, CASE WHEN campaign = '' THEN '' ELSE state END, lane,
    campaign, record
  FROM placed ORDER BY seq
), into_contents AS (
  INSERT INTO contents (seq, shown, data) SELECT seq, shown, data FROM placed ORDER BY seq
), into_recipients AS (
  INSERT INTO recipients (email, seq)
  SELECT email, seq FROM unnest($17::bigint[], $18::text[]) AS named (nth, email) JOIN placed USING (nth)
  ON CONFLICT DO NOTHING
), into_tags AS (
  INSERT INTO tags (tag, seq)
  SELECT tag, seq FROM unnest($19::bigint[], $20::text[]) AS tagged (nth, tag) JOIN placed USING (nth)
  ON CONFLICT DO NOTHING
), into_shares AS (
  INSERT INTO shares (campaign, domain, state, category, shard, n, gone)
  SELECT campaign, domain, state, '', CASE WHEN count(*) > {OFTEN} THEN $21::int ELSE 0 END, count(*), 0
  FROM placed WHERE campaign <> '' GROUP BY campaign, domain, state ORDER BY campaign, domain, state
  ON CONFLICT (campaign, domain, state, category, shard) DO UPDATE SET n = shares.n + excluded.n
), into_counters AS (
  INSERT INTO counters (name, bucket, shard, n)
  SELECT name, bucket, $21::int, sum(n) FROM (
    SELECT $22::text AS name, created_at - created_at % $23::bigint AS bucket, 1 AS n FROM placed
    UNION ALL SELECT 'failed', failed_at - failed_at % $23, 1 FROM placed WHERE failed_at IS NOT NULL
    UNION ALL SELECT 'state:' || state, 0, 1 FROM placed
    UNION ALL SELECT '{CAMPAIGN}' || campaign || ':' || state, 0, 1 FROM placed WHERE campaign <> '') AS counted
  GROUP BY name, bucket ORDER BY name, bucket
  ON CONFLICT (name, bucket, shard) DO UPDATE SET n = counters.n + excluded.n
)
SELECT nth, created_at, CASE WHEN $25::text <> '' THEN (SELECT pg_notify($24::text, $25)) END FROM placed"""


async def save(
    connection: Connection, drafts: Sequence[Draft], doubtful: dict[str, int], channel: str, shard: int
) -> list[Saved]:
    """See the port. `doubtful` is kept over the tries of one call: the ids that an earlier try sent, whose answer was
    lost, with their place in the batch. `channel` hears which lanes have mail that is due."""
    saved: dict[int, Saved] = {}
    if doubtful:
        for row in await connection.fetch(THESE, list(doubtful)):
            saved[doubtful[row["id"]]] = Saved(unpack(row))
    while left := [n for n in range(len(drafts)) if n not in saved]:
        saved |= await _save_once(connection, {n: drafts[n] for n in left}, doubtful, channel, shard)
    return [saved[n] for n in range(len(drafts))]


async def _save_once(
    connection: Connection, drafts: dict[int, Draft], doubtful: dict[str, int], channel: str, shard: int
) -> dict[int, Saved]:
    """Those that have an answer now: known by their key, or new. Not among them are the second of equal keys in a batch
    and those whose key another batch took at the same time: asked again, they are known."""
    at, known = await _known(connection, list(drafts.values()))
    saved = {
        n: _repeated(draft, *known[name]) for n, draft in drafts.items() if (name := _name(draft)) in known
    }
    left = {n: draft for n, draft in drafts.items() if n not in saved}
    new = list(_first_of_each_key(left).items())
    for n, draft in new:
        advance.accept(draft.message, at, draft.expire, suppressed=draft.suppressed)
        doubtful[draft.message.id] = n
    for row in await connection.fetch(SAVE, *_columns([draft for _, draft in new], at, channel, shard)):
        place: int = row["nth"] - 1
        n, draft = new[place]
        draft.message.created_at = row["created_at"]
        saved[n] = Saved(draft.message)
    return saved


async def _known(
    connection: Connection, drafts: Sequence[Draft]
) -> tuple[int, dict[tuple[str, str] | None, tuple[Message, bytes]]]:
    """The store's clock, and what is kept under the keys of these drafts."""
    names = [name for draft in drafts if (name := _name(draft))]
    rows = await connection.fetch(KNOWN, [scope for scope, _ in names], [key for _, key in names])
    found = {
        (row["scope"], row["key"]): (unpack(row), row["fingerprint"])
        for row in rows
        if row["record"] is not None
    }
    return rows[0]["at"], {**found}


def _name(draft: Draft) -> tuple[str, str] | None:
    return draft.key and (draft.key.scope, draft.key.key)


def _repeated(draft: Draft, message: Message, fingerprint: bytes) -> Saved:
    conflict = draft.key is not None and draft.key.fingerprint != fingerprint
    return Saved(message, created=False, conflict=conflict)


def _first_of_each_key(drafts: dict[int, Draft]) -> dict[int, Draft]:
    firsts: dict[object, int] = {}
    for n, draft in drafts.items():
        firsts.setdefault(_name(draft) or n, n)
    return {n: drafts[n] for n in firsts.values()}


def _columns(drafts: Sequence[Draft], at: int, channel: str, shard: int) -> list[Any]:
    """The parameters of SAVE."""
    messages = [draft.message for draft in drafts]
    contents = [encode(draft.content) for draft in drafts]
    keyed = [(draft.message.id, draft.key) for draft in drafts if draft.key]
    named = [(nth, each.email) for nth, m in enumerate(messages, 1) for each in m.recipients]
    tagged = [(nth, tag) for nth, m in enumerate(messages, 1) for tag in m.tags]
    return [
        [m.id for m in messages],
        [m.due_at for m in messages],
        [m.expires_at for m in messages],
        [m.status for m in messages],
        [m.state for m in messages],
        [m.lane for m in messages],
        [m.campaign or "" for m in messages],
        [pack(m) for m in messages],
        [shown for shown, _ in contents],
        [data for _, data in contents],
        [id for id, _ in keyed],
        [key.scope for _, key in keyed],
        [key.key for _, key in keyed],
        [key.fingerprint for _, key in keyed],
        [until(at, key.seconds) for _, key in keyed],
        at,
        [nth for nth, _ in named],
        [email for _, email in named],
        [nth for nth, _ in tagged],
        [tag for _, tag in tagged],
        shard,
        CREATED,
        QUARTER,
        channel,
        " ".join(sorted({m.lane for m in messages if m.due_at == at})) if channel else "",
        [m.failed_at for m in messages],
        [domain_of(m.recipients[0].email) for m in messages],
    ]
