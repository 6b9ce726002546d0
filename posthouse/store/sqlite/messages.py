"""What the writer thread does to mail: save, claim, renew, release, settle, retry. Jobs for `writer.Writer`.

Each reads records, lets mail.advance change them, writes them back and adds the tally, in one transaction under the
write lock: the compare-and-set of the port is the lock here.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from posthouse.mail import advance
from posthouse.mail.advance import LONELY, Settlement
from posthouse.mail.message import SECOND, Content, Message
from posthouse.mail.retry import until
from posthouse.store.base import BODY_SHOWN, Draft, Key, Saved
from posthouse.store.sqlite.statements import LOAD, execute_rows, json_text, load, load_ids, state_of, update
from posthouse.store.tally import Tally, before

SMALL = 16_384
"""Bytes of a content that lists read whole."""

INSERT_MESSAGES = """
INSERT INTO messages (seq, id, created_at, status, state, lane, campaign, due_at, owner, expires_at, losses, record)
VALUES {rows}"""
INSERT_CONTENTS = "INSERT INTO contents (seq, shown, data) VALUES {rows}"
REWRITE_CONTENT = "UPDATE contents SET shown = ?, data = ? WHERE seq = ?"
INSERT_RECIPIENTS = "INSERT INTO recipients (email, seq) VALUES {rows}"
INSERT_TAGS = "INSERT OR IGNORE INTO tags (tag, seq) VALUES {rows}"
INSERT_KEYS = "INSERT OR REPLACE INTO keys (scope, key, id, fingerprint, expires_at) VALUES {rows}"
COUNT = """
INSERT INTO counters (name, bucket, n) VALUES {rows} ON CONFLICT (name, bucket) DO UPDATE SET n = n + excluded.n"""
SHARE = """
INSERT INTO shares (campaign, domain, state, category, n, gone) VALUES {rows}
ON CONFLICT (campaign, domain, state, category) DO UPDATE SET n = n + excluded.n, gone = gone + excluded.gone"""
REOPEN = "UPDATE campaigns SET completed_at = NULL WHERE id = ?"

_DUE = """
(SELECT seq, record FROM messages INDEXED BY messages_due
 WHERE NOT EXISTS (SELECT 1 FROM campaigns WHERE id = :campaign AND phase <> 'running')
   AND lane = :lane AND campaign = :campaign AND due_at IS NOT NULL AND due_at <= :due AND owner IS NULL AND losses {losses} :lonely
   AND expires_at > :now
 ORDER BY due_at LIMIT :limit)"""
CLAIM = f"{LOAD} {_DUE.format(losses='<')}"
CLAIM_ALONE = f"{LOAD} {_DUE.format(losses='>=')}"
CLAIM_IDS = f"""{LOAD}
(SELECT seq, record FROM messages WHERE id IN (SELECT value FROM json_each(?)) AND due_at <= ? AND owner IS NULL
 AND losses < ? AND expires_at > ? ORDER BY due_at LIMIT ?)"""
OPEN = "messages INDEXED BY messages_due WHERE due_at IS NOT NULL"
LAPSED = f"{OPEN} AND due_at <= ? AND owner IS NOT NULL"
EXPIRED = f"{OPEN} AND due_at <= ? AND owner IS NULL AND expires_at <= ?"
SLICE = 128
"""Messages that are hastened in one transaction."""
_GIVEN = "messages WHERE id IN (SELECT value FROM json_each(?))"
SET_BACK = f"""{LOAD} (SELECT seq, record FROM {OPEN} AND owner IS NULL AND due_at > :now
 AND due_at BETWEEN created_at - {SECOND} AND created_at LIMIT {{limit}})"""
HELD = f"{LOAD} {OPEN} AND owner = ?"

Connection = sqlite3.Connection


def now() -> int:
    """The store's clock: microseconds since 1970."""
    return time.time_ns() // 1000


def save(connection: Connection, drafts: Sequence[Draft]) -> list[Saved]:
    """See the port. Drafts of one batch that share a key make one message."""
    at = now()
    keyed = _known_keys(connection, drafts, at)
    saved: list[Saved] = []
    new: list[Draft] = []
    seq, last = _next_place(connection)
    for draft in drafts:
        known = keyed.get((draft.key.scope, draft.key.key)) if draft.key else None
        if known is not None:
            saved.append(_repeated(draft, *known))
            continue
        advance.accept(draft.message, at, draft.expire, after=last, suppressed=draft.suppressed)
        last = draft.message.created_at
        new.append(draft)
        saved.append(Saved(draft.message))
        if draft.key:
            keyed[draft.key.scope, draft.key.key] = (draft.message, draft.key.fingerprint)
    _insert(connection, new, seq)
    return saved


def enter(connection: Connection, drafts: Sequence[Draft], then: Callable[[Message, int], None]) -> None:
    """Saves drafts without a key, once `then` has done with each, at the time of all, what it wants."""
    at = now()
    seq, last = _next_place(connection)
    for draft in drafts:
        advance.accept(draft.message, at, draft.expire, after=last, suppressed=draft.suppressed)
        last = draft.message.created_at
        then(draft.message, at)
    _insert(connection, drafts, seq)


def claim_due(
    connection: Connection,
    owner: str,
    limit: int,
    lease: float,
    lane: str,
    campaign: str | None,
    overdue: float,
    alone: bool,
) -> list[Message]:
    """Leases the oldest that are due in a lane, of a campaign or of none."""
    at = now()
    asked = {
        "lane": lane,
        "campaign": campaign or "",
        "due": at - round(overdue * SECOND),
        "lonely": LONELY,
        "now": at,
        "limit": limit,
    }
    rows = load(connection, CLAIM_ALONE if alone else CLAIM, asked)
    return _lease(connection, rows, owner, lease, at)


def claim_ids(
    connection: Connection, owner: str, limit: int, lease: float, ids: Sequence[str]
) -> list[Message]:
    """Leases those of `ids` that are due and free."""
    at = now()
    rows = load(connection, CLAIM_IDS, (json_text(ids), at, LONELY, at, limit))
    return _lease(connection, rows, owner, lease, at)


def lapsed(connection: Connection, owner: str, lease: float, ids: Sequence[str]) -> list[Message]:
    """Leases those of `ids` whose lease has run out."""
    at = now()
    rows = load(connection, f"{LOAD} {_GIVEN} AND due_at <= ? AND owner IS NOT NULL", (json_text(ids), at))
    return _lease(connection, rows, owner, lease, at)


def expired(connection: Connection, owner: str, lease: float, ids: Sequence[str]) -> list[Message]:
    """Leases those of `ids` that wait beyond their time."""
    at = now()
    still = "due_at <= ? AND owner IS NULL AND expires_at <= ?"
    return _lease(
        connection,
        load(connection, f"{LOAD} {_GIVEN} AND {still}", (json_text(ids), at, at)),
        owner,
        lease,
        at,
    )


def renew(connection: Connection, owner: str, ids: Sequence[str], lease: float) -> list[str]:
    """Moves the end of the leases that `owner` holds."""
    rows = [row for row in load_ids(connection, ids).values() if row[1].owner == owner]
    for _, message in rows:
        advance.renew(message, until(now(), lease))
    update(connection, rows)
    return [message.id for _, message in rows]


def release(connection: Connection, leases: Sequence[tuple[str, int]], wait: float) -> None:
    """Hands back what is still held under these fences."""

    def give_back(message: Message) -> None:
        advance.release(message, wait, now())

    found = load_ids(connection, [id for id, _ in leases])
    good = {id for id, fence in leases if id in found and _holds(found[id][1], fence)}
    change(connection, [found[id] for id in good], give_back)


def settle(connection: Connection, settlements: Sequence[Settlement]) -> list[Message | None]:
    """Writes outcomes under fences that are still good; of two for one lease the first."""
    found = load_ids(connection, [settlement.id for settlement in settlements])
    good: dict[str, Settlement] = {}
    answers: list[Message | None] = []
    for settlement in settlements:
        row = found.get(settlement.id)
        fits = row is not None and settlement.id not in good and advance.fits(row[1], settlement)
        if fits:
            good[settlement.id] = settlement
        answers.append(row[1] if row and fits else None)
    change(
        connection,
        [found[id] for id in good],
        lambda message: advance.settle(message, good[message.id], now()),
    )
    return answers


def keep(connection: Connection, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
    """Rewrites contents under fences that are still good."""
    found = load_ids(connection, [id for id, _, _ in rendered])
    good = [(id, content) for id, fence, content in rendered if id in found and _holds(found[id][1], fence)]
    rows = [_content_row(found[id][0], content) for id, content in good]
    connection.executemany(REWRITE_CONTENT, [(shown, data, seq) for seq, shown, data in rows])
    return [id for id, _ in good]


def retry(connection: Connection, id: str, expire: float) -> Message | None:
    """Makes failed and unknown recipients due again."""
    found = load_ids(connection, [id])
    if found and connection.execute("SELECT 1 FROM contents WHERE seq = ?", (found[id][0],)).fetchone():
        change(connection, list(found.values()), lambda message: advance.retry(message, now(), expire))
        if found[id][1].campaign and found[id][1].open:
            connection.execute(REOPEN, (found[id][1].campaign,))
    return found[id][1] if found else None


def sweep(connection: Connection) -> int:
    """Forgets keys whose time is over, a slice at a time; answers how many."""
    query = (
        "DELETE FROM keys WHERE (scope, key) IN (SELECT scope, key FROM keys WHERE expires_at <= ? LIMIT 500)"
    )
    return connection.execute(query, (now(),)).rowcount


def hasten(connection: Connection) -> int:
    """Where the clock was set back, a slice of what has been due since it was accepted becomes due again; how many."""
    at, (_, last) = now(), _next_place(connection)
    if last <= at + SECOND:
        return 0
    rows = load(connection, SET_BACK.format(limit=SLICE), {"now": at})
    change(connection, rows, lambda message: advance.hasten(message, at))
    return len(rows)


def _holds(message: Message, fence: int) -> bool:
    return message.owner is not None and message.fence == fence


def _lease(
    connection: Connection, rows: list[tuple[int, Message]], owner: str, lease: float, at: int
) -> list[Message]:
    change(connection, rows, lambda message: advance.claim(message, owner, until(at, lease)))
    return [message for _, message in rows]


def change(
    connection: Connection, rows: Sequence[tuple[int, Message]], act: Callable[[Message], Any]
) -> None:
    """Lets `act` change the records, writes them back and counts."""
    tally = Tally()
    for _, message in rows:
        was = before(message)
        act(message)
        tally.changed(was, message)
    update(connection, rows)
    count(connection, tally)


def count(connection: Connection, tally: Tally) -> None:
    """Adds a tally to the counters."""
    execute_rows(connection, COUNT, [(name, bucket, n) for (name, bucket), n in tally.sums.items() if n])
    spots = [(*spot, n, 0) for spot, n in tally.spots.items() if n]
    execute_rows(connection, SHARE, spots + [(*spot, 0, n) for spot, n in tally.gone.items()])


def _known_keys(
    connection: Connection, drafts: Sequence[Draft], at: int
) -> dict[tuple[str, str], tuple[Message, bytes]]:
    known: dict[tuple[str, str], tuple[Message, bytes]] = {}
    for key in (draft.key for draft in drafts if draft.key):
        row = connection.execute(
            "SELECT id, fingerprint FROM keys WHERE scope = ? AND key = ? AND expires_at > ?",
            (key.scope, key.key, at),
        ).fetchone()
        if row and (found := load_ids(connection, [row[0]])):
            known[key.scope, key.key] = (found[row[0]][1], row[1])
    return known


def _repeated(draft: Draft, message: Message, fingerprint: bytes) -> Saved:
    conflict = draft.key is not None and draft.key.fingerprint != fingerprint
    return Saved(message, created=False, conflict=conflict)


def _next_place(connection: Connection) -> tuple[int, int]:
    """The next seq, and the last created_at: the order of creation is the order of seq."""
    row = connection.execute("SELECT seq, created_at FROM messages ORDER BY seq DESC LIMIT 1").fetchone()
    return (row[0] + 1, row[1]) if row else (1, 0)


def _insert(connection: Connection, drafts: Sequence[Draft], seq: int) -> None:
    placed = list(enumerate(drafts, seq))
    tally = Tally()
    for draft in drafts:
        tally.created(draft.message)
    execute_rows(connection, INSERT_MESSAGES, [_message_row(place, draft.message) for place, draft in placed])
    execute_rows(connection, INSERT_CONTENTS, [_content_row(place, draft.content) for place, draft in placed])
    execute_rows(
        connection,
        INSERT_RECIPIENTS,
        [(recipient.email, place) for place, draft in placed for recipient in draft.message.recipients],
    )
    execute_rows(
        connection, INSERT_TAGS, [(tag, place) for place, draft in placed for tag in draft.message.tags]
    )
    keys = [(draft.key, draft.message) for draft in drafts if draft.key]
    execute_rows(connection, INSERT_KEYS, [_key_row(key, message) for key, message in keys])
    count(connection, tally)


def _message_row(seq: int, m: Message) -> tuple[Any, ...]:
    return (
        seq,
        m.id,
        m.created_at,
        m.status,
        state_of(m),
        m.lane,
        m.campaign or "",
        m.due_at,
        m.owner,
        m.expires_at,
        m.losses,
        json_text(m),
    )


def _key_row(key: Key, message: Message) -> tuple[Any, ...]:
    return (key.scope, key.key, message.id, key.fingerprint, until(message.created_at, key.seconds))


def _content_row(seq: int, content: Content) -> tuple[Any, ...]:
    data = msgspec.msgpack.encode(content)
    shown = None if len(data) <= SMALL else msgspec.msgpack.encode(_shown(content))
    return seq, shown, data


def _shown(content: Content) -> Content:
    """The content without what no list shows."""
    return msgspec.structs.replace(
        content,
        html=content.html and content.html[: BODY_SHOWN + 1],
        text=content.text and content.text[: BODY_SHOWN + 1],
        attachments=(),
        headers={},
        variables={},
    )
