"""Leases of a rate: one row for each name, under the write lock. Jobs for `writer.Writer`."""

import sqlite3

from posthouse.mail.message import SECOND
from posthouse.rate import Leased, Rate, Window, take
from posthouse.store.sqlite.messages import now

GET = "SELECT start, before, count FROM rates WHERE name = ?"
PUT = "INSERT OR REPLACE INTO rates (name, start, before, count) VALUES (?, ?, ?, ?)"
FORGET = "DELETE FROM rates WHERE name IN (SELECT name FROM rates WHERE start < ? LIMIT 500)"
FORGOTTEN_AFTER = 86_400
"""Seconds after whose beginning no window matters."""


def lease_rate(connection: sqlite3.Connection, name: str, wanted: int, rate: Rate) -> Leased:
    """See the port."""
    row = connection.execute(GET, (name,)).fetchone()
    window, leased = take(Window(*row) if row else None, rate, wanted, now() / SECOND)
    connection.execute(PUT, (name, *window))
    return leased


def forget(connection: sqlite3.Connection) -> None:
    """Drops the windows of those who have been silent, a slice a call."""
    connection.execute(FORGET, (now() / SECOND - FORGOTTEN_AFTER,))
