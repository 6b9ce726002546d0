"""What SQLite forgets of old mail (posthouse.mail.retention): looked for by readers, deleted by the writer in small slices.

Rules: a slice holds the write lock for a few milliseconds: CHUNK messages, and BYTES of content, whose pages SQLite walks
one by one to free them. Records go from the first place on without a gap, so a page stays a range of seq. What a reader
found is looked at again under the lock. The file does not shrink; its room is used again.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from operator import itemgetter
from typing import NamedTuple

import msgspec

from posthouse.mail.message import SECOND, Content, Message
from posthouse.mail.retention import head, may_go
from posthouse.store.sqlite.messages import count, now
from posthouse.store.sqlite.pages import first_since
from posthouse.store.sqlite.statements import LOAD, decode_record, execute_rows, json_text, load
from posthouse.store.tally import Tally

SLICE = 200
"""Messages that a call looks at."""
CHUNK = 25
"""Messages that are forgotten in one transaction."""
BYTES = 1 << 20
"""Bytes of content after which one takes no more."""

Connection = sqlite3.Connection
_CONTENT = msgspec.msgpack.Decoder(Content)

BODIES = """
SELECT contents.seq, record, ifnull(shown, data) FROM contents CROSS JOIN messages USING (seq)
WHERE contents.seq > ? AND contents.seq < ? ORDER BY contents.seq LIMIT ?"""
STILL = """
SELECT '[' || ifnull(group_concat(seq), '') || ']' FROM messages
WHERE seq IN (SELECT value FROM json_each(?)) AND due_at IS NULL
  AND EXISTS (SELECT 1 FROM contents WHERE contents.seq = messages.seq)"""
OLDEST = f"{LOAD} (SELECT seq, record FROM messages WHERE seq <= ? ORDER BY seq LIMIT ?)"
PAIRS = "(SELECT value ->> 0, value ->> 1 FROM json_each(?))"


class Body(NamedTuple):
    """A content to be cut down to its head; `size` is what it takes now."""

    seq: int
    id: str
    size: int
    head: bytes


class Bodies(NamedTuple):
    """What was found; `after` is the place to go on behind, 0 when the look is over."""

    chunks: list[list[Body]]
    after: int


def old_bodies(connection: Connection, after: int, age: float) -> Bodies:
    """The bodies that may go among the next SLICE contents behind a place."""
    before = now() - round(age * SECOND)
    rows = connection.execute(BODIES, (after, first_since(connection, before), SLICE)).fetchall()
    found = [
        Body(seq, message.id, message.size, msgspec.msgpack.encode(head(_CONTENT.decode(content))))
        for seq, record, content in rows
        if may_go(message := decode_record(record), before)
    ]
    chunks = [[found[n] for n in chunk] for chunk in _chunks([body.size for body in found])]
    return Bodies(chunks, rows[-1][0] if len(rows) == SLICE else 0)


def forget_bodies(connection: Connection, bodies: Sequence[Body]) -> int:
    """Cuts these down to their heads, those that are still there and closed."""
    (text,) = connection.execute(STILL, (json_text([body.seq for body in bodies]),)).fetchone()
    still = set(msgspec.json.decode(text, type=list[int]))
    gone = [(body.seq, body.head) for body in bodies if body.seq in still]
    execute_rows(connection, "INSERT INTO heads (seq, data) VALUES {rows}", gone)
    connection.execute(_in("contents", "seq"), (text,))
    return len(gone)


def old_records(connection: Connection, age: float) -> list[int]:
    """The last places of the slices in which the oldest records may go."""
    before = now() - round(age * SECOND)
    found = _oldest(connection, first_since(connection, before) - 1, SLICE, before)
    ends = [chunk[-1] for chunk in _chunks([message.size for _, message in found])]
    return [found[end][0] for end in ends]


def forget_records(connection: Connection, last: int, age: float) -> list[str]:
    """Deletes the oldest records as far as this place, up to the first that must be kept, and what goes with them; their
    ids."""
    gone = _oldest(connection, last, CHUNK, now() - round(age * SECOND))
    seqs = json_text([seq for seq, _ in gone])
    emails = {(each.email, seq) for seq, message in gone for each in message.recipients}
    tags = {(tag, seq) for seq, message in gone for tag in message.tags}
    ids = [message.id for _, message in gone]
    for table, column, values in (
        ("messages", "seq", seqs),
        ("contents", "seq", seqs),
        ("heads", "seq", seqs),
        ("keys", "id", json_text(ids)),
        ("notices", "id", json_text(ids)),
    ):
        connection.execute(_in(table, column), (values,))
    connection.execute(f"DELETE FROM recipients WHERE (email, seq) IN {PAIRS}", (json_text(emails),))
    connection.execute(f"DELETE FROM tags WHERE (tag, seq) IN {PAIRS}", (json_text(tags),))
    count(connection, _removed(gone))
    return ids


def _oldest(connection: Connection, last: int, limit: int, before: int) -> list[tuple[int, Message]]:
    rows = sorted(load(connection, OLDEST, (last, limit)), key=itemgetter(0))
    return list(takewhile(lambda row: may_go(row[1], before), rows))


def _removed(gone: Iterable[tuple[int, Message]]) -> Tally:
    tally = Tally()
    for _, message in gone:
        tally.removed(message)
    return tally


def _in(table: str, column: str) -> str:
    return f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))"


def _chunks(sizes: Sequence[int]) -> Iterator[range]:
    """Which go together: CHUNK of them, or fewer that have BYTES."""
    start = weight = 0
    for n, size in enumerate(sizes, 1):
        weight += size
        if n - start == CHUNK or weight >= BYTES or n == len(sizes):
            yield range(start, n)
            start, weight = n, 0
