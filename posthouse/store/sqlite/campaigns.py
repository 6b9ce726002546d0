"""Campaigns in the SQLite file: what they are, their phases, their counts. Functions of a connection; those that write are
writer jobs. Their audience is in `audience`, what happens to their messages in `recipients`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from posthouse.mail.campaign import Act, Campaign, Counts, Person, acted, forbids, is_over
from posthouse.store.base import UnknownCursor
from posthouse.store.campaign import (
    DONE,
    campaign_of,
    created,
    deed,
    drafts,
    gives_people,
    parts,
    retried_states,
    text,
)
from posthouse.store.catalog.campaigns import Chosen, Impossible, Mails, MakeDraft, Retried, Share, Slice
from posthouse.store.sqlite import audience, recipients
from posthouse.store.sqlite.access import Access
from posthouse.store.sqlite.kept import KEPT, both, kept, rewrite
from posthouse.store.sqlite.messages import now
from posthouse.store.sqlite.trail import note_act

Connection = sqlite3.Connection

ADD = """INSERT OR IGNORE INTO campaigns (id, created_at, phase, priority, scheduled_at, template, record)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
NEWEST = f"{KEPT} WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?"
NEWEST_OF = (
    f"{KEPT} WHERE (created_at, id) < (?, ?) AND template = ? ORDER BY created_at DESC, id DESC LIMIT ?"
)
LAST = (1 << 62, "")
WORKING = """
SELECT record FROM campaigns INDEXED BY campaigns_working
WHERE completed_at IS NULL AND phase <> 'paused' AND (phase <> 'waiting' OR ifnull(scheduled_at, 0) <= ?)
ORDER BY phase = 'canceled' DESC, priority DESC, created_at LIMIT ?"""
SHARES = """
SELECT domain, state, category, n FROM shares WHERE campaign = ? AND n > 0 ORDER BY n DESC, domain LIMIT 1000"""
CHOSEN = """
SELECT '', state, category, sum(n - gone) AS many FROM shares
WHERE campaign = :id AND state IN (SELECT value FROM json_each(:states))
  AND (:categories = '[]' OR category IN (SELECT value FROM json_each(:categories)))
  AND (:domains = '[]' OR domain IN (SELECT value FROM json_each(:domains)))
GROUP BY state, category HAVING many > 0 ORDER BY many DESC"""
COMPLETE = "UPDATE campaigns SET completed_at = ? WHERE id = ?"


class SqliteCampaigns(Access):
    """See store.catalog.campaigns."""

    async def add_campaign(self, campaign: Campaign, recipients: Sequence[Person], by: str) -> Campaign:
        for number, part in enumerate(parts(recipients, audience.PART)):
            await self._write(audience.give, campaign, number, part)
        return await self._write(add, campaign, by)

    async def campaign(self, id: str) -> tuple[Campaign, Counts] | None:
        return await self._read(kept, id)

    async def campaigns(
        self, limit: int, cursor: str | None = None, template: str | None = None
    ) -> list[tuple[Campaign, Counts]]:
        return await self._read(newest, limit, cursor, template)

    async def working(self, limit: int) -> list[Campaign]:
        return await self._read(working, limit)

    async def act(self, id: str, act: Act, by: str, detail: dict[str, Any] | None = None) -> Campaign | None:
        return await self._write(act_on, id, act, by, detail)

    async def note_job(self, id: str, queue_job_id: str) -> None:
        await self._write(note_job, id, queue_job_id)

    async def freeze(self, id: str, people: Sequence[Person], *, last: bool) -> int:
        slices = parts(people, audience.PART) or [[]]
        new = 0
        for part in slices:
            new += await self._write(audience.freeze, id, part, last and part is slices[-1])
        return new

    async def freeze_kept(self, id: str) -> Slice:
        found = await self._read(audience.next_contacts, id)
        if found is None:
            return await self._write(audience.freeze_kept, id)
        return await self._write(audience.freeze_contacts, id, *found)

    async def enlist(self, id: str, limit: int, make: MakeDraft) -> Slice:
        found = await self._read(audience.waiting, id, limit)
        if found is None:
            return "done"
        campaign, people, suppressed = found
        if not gives_people(campaign):
            return "more"
        return await self._write(audience.enlist, id, drafts(campaign, people, suppressed, make))

    async def draw(self, id: str, limit: int, make: MakeDraft, owner: str, lease: float) -> Mails:
        mails: Mails = []
        while not mails:
            found = await self._read(audience.waiting, id, limit)
            if found is None or found[0].phase != "running" or not found[0].frozen:
                break
            campaign, people, suppressed = found
            if not people:
                await self._write(audience.enlist, id, {})
                break
            made = drafts(campaign, people, suppressed, make)
            mails = await self._write(audience.draw, id, made, owner, lease)
        return mails

    async def cancel_slice(self, id: str, limit: int) -> Slice:
        return await self._write(recipients.cancel_slice, id, limit)

    async def choose(self, id: str, chosen: Chosen) -> list[Share]:
        return await self._read(choose, id, chosen)

    async def retry_slice(
        self, id: str, chosen: Chosen, limit: int, expire: float, cursor: str | None = None
    ) -> Retried:
        return await self._write(recipients.retry_slice, id, chosen, limit, expire, cursor)

    async def shares(self, id: str) -> list[Share]:
        return await self._read(shares, id)

    async def complete(self, id: str) -> Campaign | None:
        found = await self._read(kept, id)
        return await self._write(complete, id) if found and _ends(*found) else None


def add(connection: Connection, campaign: Campaign, by: str) -> Campaign:
    """Keeps a new one."""
    campaign = msgspec.structs.replace(campaign, created_at=now(), created_by=by)
    place = (campaign.id, campaign.created_at, campaign.phase, campaign.priority, campaign.scheduled_at)
    row = (*place, campaign.template)
    if connection.execute(ADD, (*row, text(campaign))).rowcount:
        note_act(connection, by, created(campaign))
    found = kept(connection, campaign.id)
    return found[0] if found else campaign


def newest(
    connection: Connection, limit: int, cursor: str | None, template: str | None
) -> list[tuple[Campaign, Counts]]:
    """See the port."""
    before = LAST
    if cursor is not None:
        row = connection.execute("SELECT created_at, id FROM campaigns WHERE id = ?", (cursor,)).fetchone()
        if row is None:
            raise UnknownCursor
        before = row
    if template is None:
        return [both(*row) for row in connection.execute(NEWEST, (*before, limit))]
    return [both(*row) for row in connection.execute(NEWEST_OF, (*before, template, limit))]


def working(connection: Connection, limit: int) -> list[Campaign]:
    """See the port."""
    return [campaign_of(record, None) for (record,) in connection.execute(WORKING, (now(), limit))]


def act_on(
    connection: Connection, id: str, act: Act, by: str, detail: dict[str, Any] | None
) -> Campaign | None:
    """See the port."""
    found = kept(connection, id)
    if found is None:
        return None
    campaign, counts = found
    if why := forbids(campaign, is_over(campaign, counts), act):
        raise Impossible(f"the campaign {why}")
    after = acted(campaign, act, now())
    if after != campaign or act == "retry":
        rewrite(connection, after)
        note_act(connection, by, deed(after, DONE[act], detail))
    return after


def note_job(connection: Connection, id: str, queue_job_id: str) -> None:
    """See the port."""
    if found := kept(connection, id):
        rewrite(connection, msgspec.structs.replace(found[0], queue_job_id=queue_job_id))


def complete(connection: Connection, id: str) -> Campaign | None:
    """See the port."""
    found = kept(connection, id)
    if found is None or not _ends(*found):
        return None
    at = now()
    connection.execute(COMPLETE, (at, id))
    return msgspec.structs.replace(found[0], completed_at=at)


def shares(connection: Connection, id: str) -> list[Share]:
    """See the port."""
    return [Share(*row) for row in connection.execute(SHARES, (id,))]


def choose(connection: Connection, id: str, chosen: Chosen) -> list[Share]:
    """See the port."""
    asked = {
        "id": id,
        "states": text(retried_states(chosen)),
        "categories": text(chosen.categories),
        "domains": text(chosen.domains),
    }
    return [Share(*row) for row in connection.execute(CHOSEN, asked)]


def _ends(campaign: Campaign, counts: Counts) -> bool:
    return is_over(campaign, counts) and campaign.completed_at is None
