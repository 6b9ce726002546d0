"""From what a process has opened to what bulk sends over HTTP are made with."""

import asyncio
from collections.abc import Sequence

from posthouse.config import Settings
from posthouse.mail.campaign import Campaign, Person
from posthouse.queue.base import Queue
from posthouse.roles.campaigns import audience_of
from posthouse.roles.work import new_id, rules
from posthouse.store.base import Store
from posthouse.store.catalog import Catalog
from posthouse.store.catalog.contacts import Headcount
from posthouse.store.registry import as_campaigns, catalog_url
from posthouse.submission.bulk.announce import Announcements
from posthouse.submission.bulk.create import Bulk
from posthouse.submission.times import wall_clock


def open_bulk(
    settings: Settings,
    record: Store,
    catalog: Catalog,
    queue: Queue,
    stopping: asyncio.Event | None = None,
) -> Bulk | None:
    """None where there can be no campaigns: they are kept with their mail, their templates and contacts."""
    campaigns = as_campaigns(record)
    if campaigns is None or catalog_url(settings.store, settings.catalog) is not None:
        return None

    audience = audience_of(settings)

    async def reach(campaign: Campaign, people: Sequence[Person]) -> Headcount:
        if campaign.roles and audience is not None:
            count = await audience.count(campaign.roles)
            return Headcount(count, count)
        if campaign.roles:
            return await catalog.contact_count(campaign.roles)
        return Headcount(len(people), len(people))

    return Bulk(
        campaigns=campaigns,
        trail=catalog,
        newest=catalog.template_head,
        reach=reach,
        announcements=Announcements(queue, campaigns),
        rules=rules(settings),
        new_id=new_id(),
        now=wall_clock,
        expire=settings.expire,
        stopping=stopping or asyncio.Event(),
    )
