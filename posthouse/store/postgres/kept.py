"""A campaign's row in the PostgreSQL database, and its counts beside it."""

from typing import Any

from posthouse.mail.campaign import Campaign, Counts
from posthouse.store.campaign import campaign_of, counts_of, text
from posthouse.store.postgres.connection import Connection
from posthouse.store.tally import CAMPAIGN

SUMS = f"""
SELECT json_object_agg(word, n)::text FROM (
  SELECT substr(name, {len(CAMPAIGN) + 2} + length(campaigns.id)) AS word, sum(n)::bigint AS n FROM counters
  WHERE name > '{CAMPAIGN}' || campaigns.id || ':' AND name < '{CAMPAIGN}' || campaigns.id || ';' AND bucket = 0
  GROUP BY name) AS counted"""
KEPT = f"SELECT record, completed_at, ({SUMS}) AS sums FROM campaigns"
LOCK = "SELECT FROM campaigns WHERE id = $1 FOR UPDATE"
REWRITE = "UPDATE campaigns SET phase = $2, record = $3 WHERE id = $1"


async def kept(connection: Connection, id: str) -> tuple[Campaign, Counts] | None:
    """A campaign with its counts."""
    row = await connection.fetchrow(f"{KEPT} WHERE id = $1", id)
    return None if row is None else both(row)


async def locked(connection: Connection, id: str) -> tuple[Campaign, Counts] | None:
    """The same, as it stands while nobody else changes it."""
    await connection.execute(LOCK, id)
    return await kept(connection, id)


def both(row: Any) -> tuple[Campaign, Counts]:
    """What a row of KEPT says."""
    return campaign_of(row["record"], row["completed_at"]), counts_of(row["sums"])


async def rewrite(connection: Connection, campaign: Campaign) -> None:
    """Writes a campaign back that was changed."""
    await connection.execute(REWRITE, campaign.id, campaign.phase, text(campaign))
