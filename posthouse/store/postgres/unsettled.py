"""What a person settles on PostgreSQL: one transaction (see change)."""

from collections.abc import Sequence

from posthouse.mail.message import Message
from posthouse.mail.unsettled import Resolution, Which, resolvable
from posthouse.mail.unsettled import resolve as settle
from posthouse.store.postgres.change import HAVE_BODY, REOPEN, Tried, change_rows, lock, stands
from posthouse.store.postgres.connection import Connection


async def resolve(
    connection: Connection,
    tried: Tried,
    ids: Sequence[str],
    how: Resolution,
    which: Which,
    by: str,
    expire: float,
    shard: int,
) -> list[Message]:
    """See the port."""
    if not await stands(connection, tried):
        at, found = await lock(connection, ids)
        found = [row for row in found if resolvable(row.message, how, which)]
        if how == "retry":
            kept = {row["seq"] for row in await connection.fetch(HAVE_BODY, [row.seq for row in found])}
            found = [row for row in found if row.seq in kept]
        await change_rows(
            connection, tried, found, lambda message: settle(message, how, which, by, at, expire), shard
        )
        for campaign in sorted({m.campaign for m in tried.values() if m.campaign and m.open}):
            await connection.execute(REOPEN, campaign)
    return list(tried.values())
