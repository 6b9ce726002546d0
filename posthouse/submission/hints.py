"""Tells the workers that there is mail, behind the caller's back: nobody waits for it and a failure costs a second.

DESIGN §3.1 `defer`: the answer never waits for a queue. What the queue did not hear, the second door finds.
"""

import asyncio
from collections.abc import Sequence

import structlog

from posthouse.batch import Batcher, Full
from posthouse.mail.message import Lane, Message
from posthouse.queue.base import Hint, Queue, QueueAway


class Hints:
    """Publishes to `queue` in batches, in the background."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._batcher: Batcher[Hint, None] = Batcher(self._publish, away=(QueueAway,))

    def tell(self, messages: Sequence[Message]) -> None:
        """There is work: one hint for each lane among these messages."""
        lanes: dict[Lane, list[str]] = {}
        for message in messages:
            lanes.setdefault(message.lane, []).append(message.id)
        try:
            for lane, ids in lanes.items():
                self._batcher.add(Hint(lane, tuple(ids))).add_done_callback(_note_failure)
        except Full:
            structlog.get_logger().warning("queue hint dropped", reason="too many wait")

    async def drain(self) -> None:
        """Returns when every hint was published or given up."""
        await self._batcher.drain()

    async def _publish(self, hints: list[Hint]) -> list[None]:
        await self._queue.publish(hints)
        return [None] * len(hints)


def _note_failure(published: asyncio.Future[None]) -> None:
    error = None if published.cancelled() else published.exception()
    if error is not None:
        structlog.get_logger().warning("queue hint not published", reason=type(error).__name__)
