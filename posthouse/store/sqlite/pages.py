"""What readers ask of a SQLite store: lists, totals, contents. Functions of a read-only connection.

The order of creation is the order of `seq`, and seq has no gaps; so page n is a range of seq and costs the same at any
depth. Filters walk the index that fits them, newest first.
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
from posthouse.store.base import BODY_SHOWN, Listed, Overview, Page, Query, Totals, UnknownCursor
from posthouse.store.sqlite.messages import EXPIRED, HELD, LAPSED, OPEN, now
from posthouse.store.sqlite.statements import LOAD, json_text, load, load_ids

Connection = sqlite3.Connection

BEYOND = 1 << 62
"""A seq that no record has."""

_CONTENT = msgspec.msgpack.Decoder(Content)


def get(connection: Connection, id: str) -> tuple[Message, Content | None] | None:
    """One record with its content."""
    found = load_ids(connection, [id])
    if id not in found:
        return None
    return found[id][1], contents(connection, [id]).get(id)


def contents(connection: Connection, ids: Sequence[str]) -> dict[str, Content]:
    """The contents of these ids that are still kept."""
    query = """SELECT id, data FROM messages JOIN contents USING (seq)
      WHERE id IN (SELECT value FROM json_each(?))"""
    return {id: _CONTENT.decode(data) for id, data in connection.execute(query, (json_text(ids),))}


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
    """Counts by state and the oldest due time."""
    states = _states(connection)
    query = f"SELECT min(due_at) FROM {OPEN} AND lane = ? AND campaign = '' AND due_at <= ? AND owner IS NULL"
    oldest = [connection.execute(query, (lane, now())).fetchone()[0] for lane in LANES]
    return Overview(states, min((due for due in oldest if due is not None), default=None))


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
    first = min(((query.page or 1) - 1) * query.limit, BEYOND)
    where = "(SELECT seq, record FROM messages WHERE seq > ? AND seq <= ? ORDER BY seq)"
    rows = sorted(load(connection, f"{LOAD} {where}", (first, first + query.limit)), key=itemgetter(0))
    return Page(_listed(connection, rows), None, sum(_states(connection).values()))


def _descending(connection: Connection, query: Query) -> Page:
    clauses, parameters = _filters(connection, query)
    where = " AND ".join(clauses)
    source = (
        f"(SELECT m.seq, m.record FROM {_source(query)} WHERE {where} ORDER BY {_place(query)} DESC LIMIT ?)"
    )
    rows = load(connection, f"{LOAD} {source}", (*parameters, query.limit + 1))
    rows.sort(key=itemgetter(0), reverse=True)
    more = len(rows) > query.limit
    items = _listed(connection, rows[: query.limit])
    total = None if query.filtered else sum(_states(connection).values())
    return Page(items, items[-1].message.id if more else None, total)


def _source(query: Query) -> str:
    if query.recipient is not None:
        return "recipients x CROSS JOIN messages m ON m.seq = x.seq"
    if query.tag is not None:
        return "tags x CROSS JOIN messages m ON m.seq = x.seq"
    return "messages m"


def _place(query: Query) -> str:
    """The column that the walk goes along."""
    return "m.seq" if query.recipient is None and query.tag is None else "x.seq"


def _filters(connection: Connection, query: Query) -> tuple[list[str], list[Any]]:
    seq = _place(query)
    wanted: list[tuple[str, Any]] = [
        (f"{seq} < ?", _seq_of(connection, query.cursor)),
        ("x.email = ?", query.recipient),
        ("m.status = ?", query.status),
        ("m.campaign <> '' AND m.campaign = ?", query.campaign),
        (f"{seq} >= ?", _first_since(connection, query.since)),
        (f"{seq} < ?", _first_since(connection, query.until)),
    ]
    if query.tag is not None:
        in_tag = "x.tag = ?" if query.recipient is None else "m.seq IN (SELECT seq FROM tags WHERE tag = ?)"
        wanted.append((in_tag, query.tag))
    used = [(clause, value) for clause, value in wanted if value is not None]
    return [clause for clause, _ in used] or ["true"], [value for _, value in used]


def _seq_of(connection: Connection, cursor: str | None) -> int | None:
    if cursor is None:
        return None
    row = connection.execute("SELECT seq FROM messages WHERE id = ?", (cursor,)).fetchone()
    if row is None:
        raise UnknownCursor
    return row[0]


def _first_since(connection: Connection, at: int | None) -> int | None:
    """The seq of the first record created at or after a time; one that no record has when there is none."""
    if at is None:
        return None
    query = "SELECT seq FROM messages WHERE created_at >= ? ORDER BY created_at LIMIT 1"
    row = connection.execute(query, (at,)).fetchone()
    return row[0] if row else BEYOND


def _listed(connection: Connection, rows: Sequence[tuple[int, Message]]) -> list[Listed]:
    query = """SELECT seq, ifnull(shown, data) FROM contents WHERE seq IN (SELECT value FROM json_each(?))"""
    seqs = json_text([seq for seq, _ in rows])
    found = {seq: _CONTENT.decode(data) for seq, data in connection.execute(query, (seqs,))}
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
