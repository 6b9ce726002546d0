"""Mail that other programs put into a queue: read by the rules of POST /email/send, stored once under the job's name.

It needs no hint: whoever took the job takes the mail next.
"""

import asyncio
from collections.abc import Callable

from posthouse.batch import Full
from posthouse.mail.errors import StoreAway
from posthouse.queue.base import Foreign, Hint, Unreadable
from posthouse.store.base import Key
from posthouse.submission.accept import Accept, StillRunning, Submission
from posthouse.submission.compose import Rules
from posthouse.submission.problems import Problem
from posthouse.submission.send import LARGE, read_submission

KEPT = 7 * 86_400.0
"""Seconds that a job's name is remembered: a Redis that comes back with old jobs sends no mail twice."""
MOST_SHOWN = 1000


def accept_foreign(accept: Accept, rules: Rules, now: Callable[[], int]) -> Foreign:
    """Makes records of the mail of foreign producers; `accept` hints at nothing."""
    two_at_a_time = asyncio.Semaphore(2)

    async def store(raw: bytes, queue: str, name: str) -> Hint:
        if len(raw) <= LARGE:
            submission = _read(raw, rules, now())
        else:
            async with two_at_a_time:
                submission = await asyncio.to_thread(_read, raw, rules, now())
        try:
            saved = await accept(submission, Key(f"queue {queue}", name, b"", KEPT))
        except (Full, StillRunning):
            raise StoreAway("the store is behind") from None
        return Hint(saved.message.lane, (saved.message.id,))

    return store


def _read(raw: bytes, rules: Rules, now: int) -> Submission:
    try:
        return read_submission(raw, rules, now, False)[0]
    except Problem as problem:
        wrong = "; ".join(f"{each.pointer}: {each.detail}" for each in problem.errors)
        raise Unreadable((wrong or problem.detail)[:MOST_SHOWN]) from None
