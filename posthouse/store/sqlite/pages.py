"""What readers ask of a SQLite store: lists, totals, contents. Functions of a read-only connection.

The order of creation is the order of `seq`, and from the first record that is kept seq has no gaps; so page n is a range
of seq and costs the same at any depth. Filters walk the indexes that fit them, newest first.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import msgspec

from posthouse.mail.advance import LONELY
from posthouse.mail.lifecycle import STATES, State
from posthouse.mail.message import LANES, SECOND, Content, Lane, Message
from posthouse.mail.retention import precedes
from posthouse.store.base import BODY_SHOWN, Listed, Overview, Page, Query, Totals, UnknownCursor, Waiting
from posthouse.store.sqlite.messages import EXPIRED, HELD, LAPSED, OPEN, now
from posthouse.store.sqlite.statements import LOAD, decode_record, json_text, load
from posthouse.store.sqlite.walks import newest, walks
from posthouse.store.tally import CREATED, GONE

Connection = sqlite3.Connection

BEYOND = 1 << 62
"""A seq that no record has."""

BY_SEQ = f"{LOAD} messages WHERE seq IN (SELECT value FROM json_each(?))"

_CONTENT = msgspec.msgpack.Decoder(Content)


def get(connection: Connection, id: str) -> tuple[Message, Content | None] | None:
    """One record with its content."""
    query = """SELECT record, ifnull(contents.data, heads.data) FROM messages
      LEFT JOIN contents USING (seq) LEFT JOIN heads USING (seq) WHERE id = ?"""
    row = connection.execute(query, (id,)).fetchone()
    return row and (decode_record(row[0]), row[1] and _CONTENT.decode(row[1]))


def contents(connection: Connection, ids: Sequence[str]) -> dict[str, Content]:
    """The contents of these ids that are still kept."""
    query = """SELECT id, data FROM messages JOIN contents USING (seq)
      WHERE id IN (SELECT value FROM json_each(?))"""
    return {id: _CONTENT.decode(data) for id, data in connection.execute(query, (json_text(ids),))}


def named(connection: Connection, scope: str, keys: Sequence[str]) -> dict[str, str]:
    """The ids that these keys lead to."""
    query = """SELECT key, id FROM keys
      WHERE scope = ? AND key IN (SELECT value FROM json_each(?)) AND expires_at > ?"""
    return dict(connection.execute(query, (scope, json_text(keys), now())).fetchall())


def held(connection: Connection, owner: str) -> list[Message]:
    """All that an owner holds."""
    return [message for _, message in load(connection, HELD, (owner,))]


def lapsed(connection: Connection, limit: int) -> list[str]:
    """Whose lease has run out: looked for here, so that the writer never walks what waits."""
    return _ids(connection, f"SELECT id FROM {LAPSED} LIMIT ?", (now(), limit))


def expired(connection: Connection, limit: int) -> list[str]:
    """What waits beyond its time."""
    return _ids(connection, f"SELECT id FROM {EXPIRED} LIMIT ?", (now(), now(), limit))


def page(connection: Connection, query: Query) -> Page:
    """See the port."""
    with _snapshot(connection):
        return _ascending(connection, query) if query.page is not None else _descending(connection, query)


def totals(connection: Connection, since: int, until: int) -> Totals:
    """Sums of the quarter-hour buckets in the span."""
    query = """SELECT name, sum(n) FROM counters
      WHERE name IN ('created', 'sent', 'failed') AND bucket >= ? AND bucket < ? GROUP BY name"""
    return Totals(**dict(connection.execute(query, (since, until)).fetchall()))


def overview(connection: Connection) -> Overview:
    """Counts by state; and what waits: a walk over what is due, in the index alone (0.2 s for a million)."""
    query = f"""SELECT count(*), min(due_at) FROM {OPEN} AND lane = ? AND campaign = '' AND due_at <= ?
      AND owner IS NULL"""
    lanes: dict[Lane, Waiting] = {}
    for lane in LANES:
        lanes[lane] = Waiting(*connection.execute(query, (lane, now())).fetchone())
    return Overview(_states(connection), lanes)


def next_due(connection: Connection, lanes: Sequence[Lane]) -> float | None:
    """Seconds until the next message that `claim` would give is due."""
    query = f"""SELECT due_at FROM {OPEN} AND lane = ? AND campaign = '' AND owner IS NULL AND losses < ?
      AND expires_at > ? ORDER BY due_at LIMIT 1"""
    at = now()
    rows = [connection.execute(query, (lane, LONELY, at)).fetchone() for lane in lanes]
    return min((max(0.0, (row[0] - at) / SECOND) for row in rows if row), default=None)


def _states(connection: Connection) -> dict[State, int]:
    rows = dict(connection.execute("SELECT name, n FROM counters WHERE bucket = 0 AND name GLOB 'state:*'"))
    return {state: rows.get(f"state:{state}", 0) for state in STATES}


def _ascending(connection: Connection, query: Query) -> Page:
    (oldest,) = connection.execute("SELECT ifnull(min(seq), 1) FROM messages").fetchone()
    first = min(((query.page or 1) - 1) * query.limit, BEYOND) + oldest
    where = "(SELECT seq, record FROM messages WHERE seq >= ? AND seq < ? ORDER BY seq)"
    rows = sorted(load(connection, f"{LOAD} {where}", (first, first + query.limit)), key=itemgetter(0))
    return Page(_listed(connection, rows), None, sum(_states(connection).values()))


def _descending(connection: Connection, query: Query) -> Page:
    low, high = _bounds(connection, query)
    found = newest(connection, walks(query), low, high, query.limit + 1)
    rows = load(connection, BY_SEQ, (json_text(found.seqs[: query.limit]),))
    items = _listed(connection, sorted(rows, key=itemgetter(0), reverse=True))
    total = None if query.filtered else sum(_states(connection).values())
    if len(found.seqs) > query.limit:
        return Page(items, items[-1].message.id, total)
    return Page(items, None if found.stopped is None else _id_of(connection, found.stopped), total)


def _bounds(connection: Connection, query: Query) -> tuple[int, int]:
    """The places that cursor and times leave: [low, high)."""
    top = BEYOND if query.until is None else first_since(connection, query.until)
    low = 0 if query.since is None else first_since(connection, query.since)
    return low, top if query.cursor is None else min(top, _seq_of(connection, query.cursor))


def _seq_of(connection: Connection, cursor: str) -> int:
    """Its place; 0 where it was before the oldest that is kept."""
    row = connection.execute("SELECT seq FROM messages WHERE id = ?", (cursor,)).fetchone()
    if row is not None:
        return row[0]
    gone = connection.execute("SELECT 1 FROM counters WHERE name = ? LIMIT 1", (GONE + CREATED,)).fetchone()
    oldest = connection.execute("SELECT created_at FROM messages ORDER BY seq LIMIT 1").fetchone()
    if gone and precedes(cursor, oldest and oldest[0]):
        return 0
    raise UnknownCursor


def _id_of(connection: Connection, seq: int) -> str:
    return connection.execute("SELECT id FROM messages WHERE seq = ?", (seq,)).fetchone()[0]


def first_since(connection: Connection, at: int) -> int:
    """The seq of the first record created at or after a time; one that no record has when there is none."""
    query = "SELECT seq FROM messages WHERE created_at >= ? ORDER BY created_at LIMIT 1"
    row = connection.execute(query, (at,)).fetchone()
    return row[0] if row else BEYOND


def _listed(connection: Connection, rows: Sequence[tuple[int, Message]]) -> list[Listed]:
    query = """SELECT seq, ifnull(shown, data) FROM contents WHERE seq IN (SELECT value FROM json_each(:seqs))
      UNION ALL SELECT seq, data FROM heads WHERE seq IN (SELECT value FROM json_each(:seqs))"""
    seqs = {"seqs": json_text([seq for seq, _ in rows])}
    found = {seq: _CONTENT.decode(data) for seq, data in connection.execute(query, seqs)}
    return [_cut(message, found.get(seq)) for seq, message in rows]


def _cut(message: Message, content: Content | None) -> Listed:
    if content is None or max(len(content.html or ""), len(content.text or "")) <= BODY_SHOWN:
        return Listed(message, content)
    shown = msgspec.structs.replace(
        content,
        html=content.html and content.html[:BODY_SHOWN],
        text=content.text and content.text[:BODY_SHOWN],
    )
    return Listed(message, shown, truncated=True)


def _ids(connection: Connection, query: str, parameters: Sequence[Any]) -> list[str]:
    return [id for (id,) in connection.execute(query, parameters)]


@contextmanager
def _snapshot(connection: Connection) -> Generator[None]:
    """One read transaction, so that a page and its total belong together."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
