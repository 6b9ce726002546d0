"""A campaign's row in the SQLite file, and its counts beside it."""

import sqlite3

from posthouse.mail.campaign import Campaign, Counts
from posthouse.store.campaign import campaign_of, counts_of, text
from posthouse.store.tally import CAMPAIGN

Connection = sqlite3.Connection

SUMS = f"""
SELECT json_group_object(substr(name, {len(CAMPAIGN) + 2} + length(id)), n) FROM counters
WHERE name > '{CAMPAIGN}' || id || ':' AND name < '{CAMPAIGN}' || id || ';' AND bucket = 0"""
KEPT = f"SELECT record, completed_at, ({SUMS}) FROM campaigns"
REWRITE = "UPDATE campaigns SET phase = ?, record = ? WHERE id = ?"


def kept(connection: Connection, id: str) -> tuple[Campaign, Counts] | None:
    """A campaign with its counts."""
    row = connection.execute(f"{KEPT} WHERE id = ?", (id,)).fetchone()
    return row and both(*row)


def both(record: str, completed_at: int | None, sums: str) -> tuple[Campaign, Counts]:
    """What a row of KEPT says."""
    return campaign_of(record, completed_at), counts_of(sums)


def rewrite(connection: Connection, campaign: Campaign) -> None:
    """Writes a campaign back that was changed."""
    connection.execute(REWRITE, (campaign.phase, text(campaign), campaign.id))
