"""What providers tell later: kept once, and applied to the mail it is about. Jobs for `writer.Writer`.

A mail is found by our id, by its Message-ID, or by the provider's name for it, which is a key (scope PROVIDER) that the
settlement writes. A notice that comes before that settlement is kept, and applied together with it.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from posthouse.mail import advance
from posthouse.mail.advance import Settlement
from posthouse.mail.identity import id_of
from posthouse.mail.message import SECOND, Message
from posthouse.mail.notice import Notice
from posthouse.store.base import NOTICE_SECONDS, PROVIDER, Heard
from posthouse.store.sqlite.messages import INSERT_KEYS, change, now
from posthouse.store.sqlite.messages import settle as settle_messages
from posthouse.store.sqlite.statements import execute_rows, json_text, load_ids

KEEP = "INSERT OR IGNORE INTO notices (provider, key, received_at, data) VALUES (?, ?, ?, ?)"
PLACE = "UPDATE notices SET id = ?, provider_message_id = ? WHERE provider = ? AND key = ?"
BY_PROVIDER = "SELECT id FROM keys WHERE scope = ? AND key = ?"
WAITING = """
SELECT data FROM notices WHERE id IS NULL AND provider_message_id IN (SELECT value FROM json_each(?))
ORDER BY received_at"""
FORGET = """
DELETE FROM notices WHERE rowid IN (SELECT rowid FROM notices WHERE received_at <= ? ORDER BY received_at LIMIT 500)"""

_NOTICE = msgspec.msgpack.Decoder(Notice)


def hear(connection: sqlite3.Connection, notices: Sequence[Notice]) -> list[Heard]:
    """See the port."""
    return [_hear(connection, notice) for notice in notices]


def settle(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> list[Message | None]:
    """Settles, and keeps the names under which providers will speak of these mails, or have already."""
    settled = settle_messages(connection, settlements)
    named = [message for message in settled if message and message.provider_message_id]
    if named:
        _learn(connection, named)
    return settled


def forget(connection: sqlite3.Connection) -> None:
    """Drops what was told too long ago to be told again, a slice a call."""
    connection.execute(FORGET, (now() - NOTICE_SECONDS * SECOND,))


def _hear(connection: sqlite3.Connection, notice: Notice) -> Heard:
    row = (notice.provider, notice.key, now(), msgspec.msgpack.encode(notice))
    if connection.execute(KEEP, row).rowcount == 0:
        return "repeated"
    id = _find(connection, notice)
    applied = id is not None and _apply(connection, id, notice)
    _place(connection, notice, id if applied else None)
    return "applied" if applied else "unknown"


def _find(connection: sqlite3.Connection, notice: Notice) -> str | None:
    """The id of the mail that a notice is about."""
    for name in (notice.id, id_of(notice.message_id or "")):
        if name and name in load_ids(connection, [name]):
            return name
    if notice.provider_message_id is None:
        return None
    row = connection.execute(BY_PROVIDER, (PROVIDER, notice.provider_message_id)).fetchone()
    return row[0] if row else None


def _apply(connection: sqlite3.Connection, id: str, notice: Notice) -> bool:
    heard: list[bool] = []
    rows = list(load_ids(connection, [id]).values())
    change(connection, rows, lambda message: heard.append(advance.hear(message, notice, now())))
    return any(heard)


def _place(connection: sqlite3.Connection, notice: Notice, id: str | None) -> None:
    connection.execute(PLACE, (id, notice.provider_message_id, notice.provider, notice.key))


def _learn(connection: sqlite3.Connection, messages: Sequence[Message]) -> None:
    expires = now() + NOTICE_SECONDS * SECOND
    names = {message.provider_message_id: message.id for message in messages if message.provider_message_id}
    execute_rows(connection, INSERT_KEYS, [(PROVIDER, name, id, b"", expires) for name, id in names.items()])
    for (data,) in connection.execute(WAITING, (json_text(list(names)),)).fetchall():
        notice = _NOTICE.decode(data)
        id = names[notice.provider_message_id or ""]
        if _apply(connection, id, notice):
            _place(connection, notice, id)
