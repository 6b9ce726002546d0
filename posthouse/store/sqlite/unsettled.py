"""What a person settles in the SQLite file: a job for `writer.Writer`."""

import sqlite3
from collections.abc import Sequence

from posthouse.mail.message import Message
from posthouse.mail.unsettled import Resolution, Which, resolvable
from posthouse.mail.unsettled import resolve as settle
from posthouse.store.sqlite.messages import REOPEN, change, now
from posthouse.store.sqlite.recipients import with_bodies
from posthouse.store.sqlite.statements import load_ids


def resolve(
    connection: sqlite3.Connection, ids: Sequence[str], how: Resolution, which: Which, by: str, expire: float
) -> list[Message]:
    """See the port."""
    rows = [row for row in load_ids(connection, ids).values() if resolvable(row[1], how, which)]
    if how == "retry":
        rows = with_bodies(connection, rows)
    change(connection, rows, lambda message: settle(message, how, which, by, now(), expire))
    for _, message in rows:
        if message.campaign and message.open:
            connection.execute(REOPEN, (message.campaign,))
    return [message for _, message in rows]
