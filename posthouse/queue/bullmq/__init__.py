"""The queue `redis://host:port/db?queue=email`: BullMQ's own layout, through the official package.

Rules: any BullMQ program can put mail into it and see what is in it. A Redis that is away stops nobody: hints are
lost, the second door finds the mail, and both ways are tried again and again. A Redis that would lose jobs is refused.
"""

# BullMQ for Python has no types of use: what it takes and gives is typed where it meets us.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownArgumentType=false

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import bullmq
import structlog

from posthouse.mail.message import Lane
from posthouse.queue.base import Follow, Foreign, Handler, Hint, QueueAway, QueueUnfit
from posthouse.queue.bullmq import jobs
from posthouse.queue.bullmq.address import AWAY, check, open_client, read_address
from posthouse.queue.bullmq.intake import Intake

PUBLISH_SECONDS = 2.0
"""How long hints may take; later ones wait for them, and a second is what a lost one costs."""
GAP = 0.005
"""Seconds between two publishes at least: a job costs a worker about a millisecond, whatever the ids in it."""
LOCK = 30.0
"""Seconds that a dead worker's jobs stay its own; BullMQ's default."""
AGAIN = 5.0
"""Seconds before a Redis that is away or unfit is checked again."""

T = TypeVar("T")


class BullQueue:
    """See queue.base. `foreign` stores the mail of foreign producers; without it their jobs fail."""

    def __init__(self, url: str, foreign: Foreign | None = None, lock: float = LOCK) -> None:
        self._address = read_address(url)
        self._client = open_client(self._address)
        self._foreign, self._lock = foreign, lock
        self._follow: Follow | None = None
        self._log = structlog.get_logger("queue")
        self._checked = False
        self._published = 0.0
        self._intake: Intake | None = None

    async def start(self) -> None:
        options = {"connection": self._client, "defaultJobOptions": jobs.OPTIONS}
        self._queue = bullmq.Queue(self._address.queue, options)
        try:
            await self._check()
        except QueueAway as error:
            self._log.warning("queue away", why=str(error), meanwhile="mail goes by way of the store")

    async def stop(self) -> None:
        if self._intake is not None:
            await self._intake.close()
            self._intake = None
        await self._client.connection_pool.disconnect()

    async def publish(self, hints: Sequence[Hint]) -> None:
        await _answered(self._add(hints))

    async def announce(self, campaign: str) -> str:
        job = jobs.write_campaign(campaign)
        added = await _answered(self._queue.add(job["name"], job["data"], job["opts"]))
        return added.id or ""

    def accompany(self, follow: Follow) -> None:
        self._follow = follow

    async def consume(self, handler: Handler) -> None:
        while not self._checked:
            await self._check_again()
        if self._intake is None:
            self._intake = Intake(self._client, self._address.queue, self._foreign, self._lock, self._follow)
        await self._intake.run(handler)

    async def depth(self) -> dict[Lane, int]:
        counts = await _answered(self._queue.getJobCounts("wait", "paused", "prioritized"))
        return {"transactional": counts["wait"] + counts["paused"], "bulk": counts["prioritized"]}

    async def _add(self, hints: Sequence[Hint]) -> None:
        """At once when the last time is a while ago; else callers gather more meanwhile."""
        loop = asyncio.get_running_loop()
        if (early := self._published + GAP - loop.time()) > 0:
            await asyncio.sleep(early)
        self._published = loop.time()
        new = jobs.write(hints)
        if len(new) == 1:
            await self._queue.add(new[0]["name"], new[0]["data"], new[0]["opts"])
        elif new:
            await self._queue.addBulk(new)

    async def _check(self) -> None:
        await check(self._client, self._address)
        self._checked = True

    async def _check_again(self) -> None:
        """Once it was away at the start, nobody waits for what it says but the consumer."""
        try:
            await self._check()
        except QueueAway:
            await asyncio.sleep(AGAIN)
        except QueueUnfit as error:
            self._log.error("queue unfit", why=str(error))
            await asyncio.sleep(AGAIN)


async def _answered(asked: Awaitable[T]) -> T:
    """What Redis answers in time; raises QueueAway."""
    try:
        async with asyncio.timeout(PUBLISH_SECONDS):
            return await asked
    except AWAY as error:
        raise QueueAway(str(error) or "Redis does not answer in time") from None
