"""The job of a campaign: active, with its progress, while the campaign is at work in this process; then completed.

Rules: it is put back, no attempt spent, while the campaign is not at work here (paused, not due, beyond the number that
a process may have). What Redis or the store do not answer is asked again: the campaign goes on without its job.
"""

import asyncio
import contextlib
from collections.abc import Awaitable

import structlog

from posthouse.mail.errors import StoreAway
from posthouse.queue.base import Course, Follow, Unreadable
from posthouse.queue.bullmq import jobs
from posthouse.queue.bullmq.taker import Job

LOOK = 0.5
"""Seconds between two looks at how far it is."""


async def accompany(job: Job, follow: Follow | None) -> Awaitable[None]:
    """Returns, with its answer, when the campaign is over or not at work here. Raises Unreadable."""
    if follow is None:
        raise Unreadable("campaigns are not sent from here: they need a worker whose store is SQL")
    id, shown = jobs.read_campaign(job.data), -1
    while True:
        course = await _asked(follow, id)
        if course is not None and course.wait is not None:
            return job.put_back(course.wait)
        if course is not None and course.percent != shown:
            shown = course.percent
            await _show(job, shown)
        if course is not None and course.over:
            return job.done(id)
        await asyncio.sleep(LOOK)


async def _asked(follow: Follow, id: str) -> Course | None:
    """None while the store is away."""
    try:
        course = await follow(id)
    except StoreAway as error:
        structlog.get_logger("queue").warning("store away", during="campaign", why=str(error))
        return None
    if course is None:
        raise Unreadable("there is no such campaign")
    return course


async def _show(job: Job, percent: int) -> None:
    """A Redis that was wiped knows the job no longer; what else is wrong, its answer tells."""
    with contextlib.suppress(Exception):
        await job.show(percent)
