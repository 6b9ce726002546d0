"""Leases of a rate: one row for each name, locked while it is counted on."""

from posthouse.mail.message import SECOND
from posthouse.rate import Leased, Rate, Window, take
from posthouse.store.postgres.connection import NOW, Connection

LOCK = f"""INSERT INTO rates (name, start, before, count) VALUES ($1, NULL, 0, 0)
  ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING start, before, count, {NOW} AS at"""
PUT = "UPDATE rates SET start = $2, before = $3, count = $4 WHERE name = $1"


async def lease_rate(connection: Connection, name: str, wanted: int, rate: Rate) -> Leased:
    """See the port."""
    row = await connection.fetchrow(LOCK, name)
    known = None if row["start"] is None else Window(row["start"], row["before"], row["count"])
    window, leased = take(known, rate, wanted, row["at"] / SECOND)
    await connection.execute(PUT, name, *window)
    return leased
