"""SQL by the batch: one statement for many rows.

The sqlite3 module lets go of the interpreter's lock for each step of a statement and must win it back from the busy
event loop each time. So rows go in by multi-row VALUES and come out joined into one JSON array: few steps a batch.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from posthouse.mail.message import Message

CHUNK = 64
"""Rows a statement takes at most; there is one prepared for each number of rows."""

_ROWS = msgspec.json.Decoder(list[tuple[int, Message]])
decode_record: Callable[[str], Message] = msgspec.json.Decoder(Message).decode

LOAD = "SELECT '[' || ifnull(group_concat('[' || seq || ',' || record || ']'), '') || ']' FROM"

BY_ID = f"{LOAD} messages WHERE id IN (SELECT value FROM json_each(?))"

UPDATE = """
WITH new (seq, status, state, due_at, owner, expires_at, losses, record) AS (VALUES {rows})
UPDATE messages SET status = new.status, state = new.state, due_at = new.due_at, owner = new.owner, expires_at = new.expires_at,
  losses = new.losses, record = new.record
FROM new WHERE messages.seq = new.seq"""


def execute_rows(connection: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Runs `sql`, whose {rows} stands for a list of VALUES, over all rows in chunks."""
    if not rows:
        return
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        parameters = [value for values in chunk for value in values]
        connection.execute(_with_rows(sql, len(chunk), len(chunk[0])), parameters)


@lru_cache(maxsize=1024)
def _with_rows(sql: str, rows: int, columns: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return sql.format(rows=",".join([row] * rows))


def load(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Any] | Mapping[str, Any]
) -> list[tuple[int, Message]]:
    """The (seq, Message) pairs of a statement that begins with LOAD."""
    (text,) = connection.execute(sql, parameters).fetchone()
    return _ROWS.decode(text)


def load_ids(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[int, Message]]:
    """The records of these ids."""
    rows = load(connection, BY_ID, (json_text(ids),))
    return {message.id: (seq, message) for seq, message in rows}


def update(connection: sqlite3.Connection, rows: Sequence[tuple[int, Message]]) -> None:
    """Writes changed records back."""
    execute_rows(
        connection,
        UPDATE,
        [
            (seq, m.status, state_of(m), m.due_at, m.owner, m.expires_at, m.losses, json_text(m))
            for seq, m in rows
        ],
    )


def state_of(message: Message) -> str:
    """What the column `state` says."""
    return "" if message.campaign is None else message.state


def json_text(value: Any) -> str:
    """JSON as SQLite's functions take it."""
    return msgspec.json.encode(value).decode()
