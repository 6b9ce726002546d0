"""Tells the workers that there is mail, behind the caller's back: nobody waits for it and a failure costs a second.

DESIGN §3.1 `defer`: the answer never waits for a queue. What the queue did not hear, the second door finds. With
`reject` a caller asks whether it was heard (reject.py).
"""

import asyncio
from collections.abc import Sequence

import structlog

from posthouse.batch import Batcher, Full
from posthouse.mail.message import Lane, Message
from posthouse.queue.base import Hint, Queue, QueueAway


class Hints:
    """Publishes to `queue` in batches, in the background; says in the log when that fails, and when it works again."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._batcher: Batcher[Hint, None] = Batcher(self._publish, away=(QueueAway,))
        self._failing = ""

    def tell(self, messages: Sequence[Message]) -> None:
        """There is work: one hint for each lane among these messages."""
        lanes: dict[Lane, list[str]] = {}
        for message in messages:
            lanes.setdefault(message.lane, []).append(message.id)
        for lane, ids in lanes.items():
            self._add(Hint(lane, tuple(ids)))

    async def heard(self, message: Message, seconds: float) -> bool:
        """Tells of one message; whether the queue had it within so many seconds."""
        published = self._add(Hint(message.lane, (message.id,)))
        if published is None:
            return False
        await asyncio.wait([published], timeout=seconds)
        return published.done() and published.exception() is None

    async def drain(self) -> None:
        """Returns when every hint was published or given up."""
        await self._batcher.drain()

    def _add(self, hint: Hint) -> asyncio.Future[None] | None:
        try:
            published = self._batcher.add(hint)
        except Full:
            self._turned("too many hints wait")
            return None
        published.add_done_callback(self._note)
        return published

    async def _publish(self, hints: list[Hint]) -> list[None]:
        await self._queue.publish(hints)
        return [None] * len(hints)

    def _note(self, published: asyncio.Future[None]) -> None:
        error = None if published.cancelled() else published.exception()
        self._turned("" if error is None else f"{type(error).__name__}: {error}")

    def _turned(self, failing: str) -> None:
        if failing and not self._failing:
            structlog.get_logger("queue").warning("hints not published", why=failing)
        if self._failing and not failing:
            structlog.get_logger("queue").info("hints published again")
        self._failing = failing
