"""Publishes again the events of mail that stays PENDING, for foreign workers: their producer may have died between its
two steps, or the event was lost. Our own workers have the second door and need none.

Rules: first after POSTHOUSE_REPUBLISH seconds, then after twice as long, and so on, counted from the mail's creation;
mail that is leased, or due later, is passed over. While many events wait nothing is published: those are not lost.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import SECOND, Message
from posthouse.queue.base import Hint, Queue, QueueAway
from posthouse.store.base import Query, Store

LOOKS = 4
"""Looks within the first wait."""
LONGEST_LOOK = 60.0
ENOUGH = 1000
"""Events that wait in a lane's queue, at which nothing is added."""
SLICE = 100
DOUBLINGS = 20
"""Twenty of them are more than a year, whatever the first wait."""


class Republisher:
    """Looks until it is cancelled. `first` is the wait in seconds; `now` gives microseconds."""

    def __init__(self, store: Store, queue: Queue, first: float, now: Callable[[], int]) -> None:
        self._store, self._queue, self._now = store, queue, now
        self._waits = [round(first * SECOND) * (2**number - 1) for number in range(1, DOUBLINGS)]
        self._look = min(first / LOOKS, LONGEST_LOOK)
        self._seen: int | None = None
        self._log = structlog.get_logger("queue")

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            try:
                await self.look()
            except (StoreAway, QueueAway) as error:
                self._log.warning("nothing published again", why=str(error))
            await asyncio.sleep(self._look)

    async def look(self) -> None:
        """Publishes what has waited long enough since the last look; at first, whatever has."""
        if max((await self._queue.depth()).values()) >= ENOUGH:
            return
        now, before = self._now(), self._seen
        for number, wait in enumerate(self._waits):
            since = None if before is None else before - wait
            if before is None and number > 0:
                break
            async for hints in self._waiting(since, now - wait, now):
                self._log.info("published again", count=len(hints))
                await self._queue.publish(hints)
        self._seen = now

    async def _waiting(self, since: int | None, until: int, now: int) -> AsyncIterator[list[Hint]]:
        """Hints for mail created in this span that somebody should have taken, a page at a time."""
        cursor: str | None = None
        while True:
            page = await self._store.page(
                Query(limit=SLICE, status="PENDING", since=since, until=until, cursor=cursor)
            )
            due = [item.message for item in page.items if _is_left(item.message, now)]
            if due:
                yield [Hint(message.lane, (message.event_id or message.id,)) for message in due]
            cursor = page.next_cursor
            if cursor is None:
                return


def _is_left(message: Message, now: int) -> bool:
    return message.owner is None and message.due_at is not None and message.due_at <= now
