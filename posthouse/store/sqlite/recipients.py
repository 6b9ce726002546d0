"""What happens to the messages of a campaign as a whole in the SQLite file, a slice in each transaction: jobs for
`writer.Writer`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from posthouse.mail import advance
from posthouse.store.base import UnknownCursor
from posthouse.store.campaign import fits, retried_states
from posthouse.store.catalog.campaigns import Chosen, Retried, Slice
from posthouse.store.sqlite.kept import kept
from posthouse.store.sqlite.messages import REOPEN, change, now
from posthouse.store.sqlite.statements import LOAD, json_text, load

Connection = sqlite3.Connection

PART = 100
"""Messages that are looked at in one transaction."""

_OF = "FROM messages INDEXED BY messages_campaign WHERE campaign <> '' AND campaign = :id AND state"
OPEN = f"""{LOAD} (SELECT seq, record {_OF} IN ('pending', 'deferred', 'sending')
  AND record ->> '$.cancel_asked' IS NULL LIMIT :limit)"""
STEP = f"SELECT seq, record {_OF} = '{{state}}' AND seq > :after"
BODIES = "SELECT seq FROM contents WHERE seq IN (SELECT value FROM json_each(?))"


def cancel_slice(connection: Connection, id: str, limit: int) -> Slice:
    """See the port."""
    found = kept(connection, id)
    if found is None or found[0].phase != "canceled":
        return "done"
    limit = min(limit, PART)
    rows = load(connection, OPEN, {"id": id, "limit": limit})
    change(connection, rows, lambda message: advance.cancel(message, now()))
    return "more" if len(rows) == limit else "done"


def retry_slice(
    connection: Connection, id: str, chosen: Chosen, limit: int, expire: float, cursor: str | None
) -> Retried:
    """See the port."""
    states = retried_states(chosen)
    if not states:
        return Retried(0, None)
    limit = min(limit, PART)
    asked = {"id": id, "after": _place(connection, cursor), "limit": limit}
    steps = " UNION ALL ".join(STEP.format(state=state) for state in states)
    rows = sorted(load(connection, f"{LOAD} ({steps} ORDER BY seq LIMIT :limit)", asked))
    fitting = with_bodies(connection, [row for row in rows if fits(row[1], chosen)])
    change(connection, fitting, lambda message: advance.retry(message, now(), expire))
    if fitting:
        connection.execute(REOPEN, (id,))
    return Retried(len(fitting), rows[-1][1].id if len(rows) == limit else None)


def _place(connection: Connection, cursor: str | None) -> int:
    if cursor is None:
        return 0
    row = connection.execute("SELECT seq FROM messages WHERE id = ?", (cursor,)).fetchone()
    if row is None:
        raise UnknownCursor
    return row[0]


def with_bodies(connection: Connection, rows: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
    there = {seq for (seq,) in connection.execute(BODIES, (json_text([seq for seq, _ in rows]),))}
    return [row for row in rows if row[0] in there]
