"""Tells the queue of a new campaign, behind the caller's back: a job that shows how far it is, where the queue has such.

Rules: workers find campaigns in the catalog by themselves, so a queue that is away costs the job and nothing else.
"""

import asyncio

import structlog

from posthouse.mail.campaign import Campaign
from posthouse.mail.errors import StoreAway
from posthouse.queue.base import Campaigning, Queue, QueueAway
from posthouse.store.catalog.campaigns import Campaigns


class Announcements:
    """`tell` answers at once; `drain` returns when all were announced or given up."""

    def __init__(self, queue: Queue, campaigns: Campaigns) -> None:
        self._queue = queue if isinstance(queue, Campaigning) else None
        self._campaigns = campaigns
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, campaign: Campaign) -> None:
        """Adds the campaign's job and notes its name."""
        if self._queue is None:
            return
        task = asyncio.get_running_loop().create_task(self._announce(self._queue, campaign.id))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def drain(self) -> None:
        """See the class."""
        await asyncio.gather(*self._under_way)

    async def _announce(self, queue: Campaigning, id: str) -> None:
        try:
            await self._campaigns.note_job(id, await queue.announce(id))
        except (QueueAway, StoreAway) as error:
            structlog.get_logger("queue").warning("campaign not announced", id=id, why=str(error))
