"""Campaigns in the PostgreSQL database: what they are, their phases, their counts. Their audience is in `audience`, what
happens to their messages in `recipients`.

Who changes a campaign locks its row first, and reads its counts behind that lock.
"""

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from posthouse.mail.campaign import Act, Campaign, Counts, Person, acted, forbids, is_over
from posthouse.store.base import UnknownCursor
from posthouse.store.campaign import DONE, campaign_of, created, deed, parts, retried_states, text
from posthouse.store.catalog.campaigns import Chosen, Impossible, Mails, MakeDraft, Retried, Share, Slice
from posthouse.store.postgres import audience, enlist, recipients
from posthouse.store.postgres.access import Access
from posthouse.store.postgres.change import SHARDS, Tried
from posthouse.store.postgres.connection import NOW, Connection, Connections
from posthouse.store.postgres.enlist import Drawing
from posthouse.store.postgres.kept import KEPT, both, kept, locked, rewrite
from posthouse.store.postgres.trail import note_act

ADD = """INSERT INTO campaigns (id, created_at, phase, priority, scheduled_at, template, record)
  VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING true"""
NEWEST = f"{KEPT} WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3"
NEWEST_OF = (
    f"{KEPT} WHERE (created_at, id) < ($1, $2) AND template = $4 ORDER BY created_at DESC, id DESC LIMIT $3"
)
LAST = ((1 << 63) - 1, "")
WORKING = f"""
SELECT record FROM campaigns
WHERE completed_at IS NULL AND phase <> 'paused' AND (phase <> 'waiting' OR coalesce(scheduled_at, 0) <= {NOW})
ORDER BY phase = 'canceled' DESC, priority DESC, created_at LIMIT $1"""
SHARES = """
SELECT domain, state, category, sum(n)::bigint AS n FROM shares WHERE campaign = $1
GROUP BY domain, state, category HAVING sum(n) > 0 ORDER BY n DESC, domain LIMIT 1000"""
CHOSEN = """
SELECT '' AS domain, state, category, sum(n - gone)::bigint AS n FROM shares
WHERE campaign = $1 AND state = ANY($2::text[]) AND ($3::text[] = '{}' OR category = ANY($3))
  AND ($4::text[] = '{}' OR domain = ANY($4))
GROUP BY state, category HAVING sum(n - gone) > 0 ORDER BY n DESC"""
COMPLETE = f"UPDATE campaigns SET completed_at = {NOW} WHERE id = $1"


class PostgresCampaigns(Access):
    """See store.catalog.campaigns."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._enlisted: dict[str, str] = {}

    async def add_campaign(self, campaign: Campaign, recipients: Sequence[Person], by: str) -> Campaign:
        return await self._connections.transact(add, campaign, recipients, by)

    async def campaign(self, id: str) -> tuple[Campaign, Counts] | None:
        return await self._connections.call(kept, id)

    async def campaigns(
        self, limit: int, cursor: str | None = None, template: str | None = None
    ) -> list[tuple[Campaign, Counts]]:
        return await self._connections.call(newest, limit, cursor, template)

    async def working(self, limit: int) -> list[Campaign]:
        return await self._connections.call(working, limit)

    async def act(self, id: str, act: Act, by: str, detail: dict[str, Any] | None = None) -> Campaign | None:
        campaign, why = await self._connections.transact(act_on, id, act, by, detail)
        if why is not None:
            raise Impossible(f"the campaign {why}")
        return campaign

    async def note_job(self, id: str, queue_job_id: str) -> None:
        await self._connections.transact(note_job, id, queue_job_id)

    async def freeze(self, id: str, people: Sequence[Person], *, last: bool) -> int:
        slices = parts(people, audience.PART) or [[]]
        new = 0
        for part in slices:
            ends = last and part is slices[-1]
            new += await self._connections.transact(audience.freeze, id, part, ends, _shard())
        return new

    async def freeze_kept(self, id: str) -> Slice:
        return await self._connections.transact(audience.freeze_kept, id, _shard())

    async def enlist(self, id: str, limit: int, make: MakeDraft) -> Slice:
        after = self._enlisted.pop(id, "")
        last = await self._connections.transact(enlist.enlist, id, limit, make, after, _shard())
        if last:
            self._enlisted[id] = last
        elif not after and await self._connections.transact(enlist.ready, id):
            return "done"
        return "more"

    async def draw(self, id: str, limit: int, make: MakeDraft, owner: str, lease: float) -> Mails:
        while True:
            after, tried = self._enlisted.pop(id, ""), list[Drawing]()
            drawn = await self._connections.transact(
                enlist.draw, tried, id, limit, make, owner, lease, after, _shard()
            )
            if drawn.last:
                self._enlisted[id] = drawn.last
            elif not after:
                await self._connections.transact(enlist.ready, id)
            if drawn.mails or not (drawn.last or after):
                return drawn.mails

    async def cancel_slice(self, id: str, limit: int) -> Slice:
        tried: Tried = {}
        return await self._connections.transact(recipients.cancel_slice, tried, id, limit, _shard())

    async def choose(self, id: str, chosen: Chosen) -> list[Share]:
        return await self._connections.call(choose, id, chosen)

    async def retry_slice(
        self, id: str, chosen: Chosen, limit: int, expire: float, cursor: str | None = None
    ) -> Retried:
        tried: Tried = {}
        return await self._connections.transact(
            recipients.retry_slice, tried, id, chosen, limit, expire, cursor, _shard()
        )

    async def shares(self, id: str) -> list[Share]:
        return await self._connections.call(shares, id)

    async def complete(self, id: str) -> Campaign | None:
        return await self._connections.transact(complete, id)


async def add(connection: Connection, campaign: Campaign, recipients: Sequence[Person], by: str) -> Campaign:
    """Keeps a new one."""
    at = await connection.fetchval(f"SELECT {NOW}")
    made = msgspec.structs.replace(campaign, created_at=at, created_by=by)
    row = (made.id, at, made.phase, made.priority, made.scheduled_at, made.template, text(made))
    if await connection.fetchval(ADD, *row):
        await audience.give(connection, made.id, recipients)
        await note_act(connection, by, created(made))
        return made
    found = await kept(connection, made.id)
    return found[0] if found else made


async def newest(
    connection: Connection, limit: int, cursor: str | None, template: str | None
) -> list[tuple[Campaign, Counts]]:
    """See the port."""
    before = LAST
    if cursor is not None:
        before = await connection.fetchrow("SELECT created_at, id FROM campaigns WHERE id = $1", cursor)
        if before is None:
            raise UnknownCursor
    if template is None:
        return [both(row) for row in await connection.fetch(NEWEST, *before, limit)]
    return [both(row) for row in await connection.fetch(NEWEST_OF, *before, limit, template)]


async def working(connection: Connection, limit: int) -> list[Campaign]:
    """See the port."""
    return [campaign_of(row["record"], None) for row in await connection.fetch(WORKING, limit)]


async def act_on(
    connection: Connection, id: str, act: Act, by: str, detail: dict[str, Any] | None
) -> tuple[Campaign | None, str | None]:
    """The campaign after an act; or why that is impossible."""
    found = await locked(connection, id)
    if found is None:
        return None, None
    campaign, counts = found
    if why := forbids(campaign, is_over(campaign, counts), act):
        return None, why
    after = acted(campaign, act, await connection.fetchval(f"SELECT {NOW}"))
    if after != campaign or act == "retry":
        await rewrite(connection, after)
        await note_act(connection, by, deed(after, DONE[act], detail))
    return after, None


async def note_job(connection: Connection, id: str, queue_job_id: str) -> None:
    """See the port."""
    if found := await locked(connection, id):
        await rewrite(connection, msgspec.structs.replace(found[0], queue_job_id=queue_job_id))


async def complete(connection: Connection, id: str) -> Campaign | None:
    """See the port."""
    found = await kept(connection, id)
    if found is None or not _ends(*found):
        return None
    found = await locked(connection, id)
    if found is None or not _ends(*found):
        return None
    await connection.execute(COMPLETE, id)
    found = await kept(connection, id)
    return found and found[0]


async def shares(connection: Connection, id: str) -> list[Share]:
    """See the port."""
    return [Share(*row) for row in await connection.fetch(SHARES, id)]


async def choose(connection: Connection, id: str, chosen: Chosen) -> list[Share]:
    """See the port."""
    asked = retried_states(chosen), list(chosen.categories), list(chosen.domains)
    return [Share(*row) for row in await connection.fetch(CHOSEN, id, *asked)]


def _ends(campaign: Campaign, counts: Counts) -> bool:
    return is_over(campaign, counts) and campaign.completed_at is None


def _shard() -> int:
    return random.randrange(SHARDS)
