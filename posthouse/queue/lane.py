"""The hints of one lane on their way to the handler: while it is busy with some, the next ones gather and are one call.

A claim costs the store about as much for one message as for a hundred.
"""

import asyncio
from collections import deque

import structlog

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Lane
from posthouse.queue.base import Handler, Hint, Taken

AGAIN = 1.0
"""Seconds before a store that was away is asked again."""
ENOUGH = 128
"""Ids that make a call worth its while: with more of them it is only longer."""


class LaneQueue:
    """See the module."""

    def __init__(self, lane: Lane) -> None:
        self._lane: Lane = lane
        self._waiting: deque[tuple[Hint, asyncio.Future[Taken]]] = deque()
        self._more = asyncio.Event()

    async def take(self, hint: Hint) -> Taken:
        """What was leased for the hint, together with its neighbours; raises what the handler raised. Whoever is
        cancelled takes the hint back, unless it is being handed over."""
        taken: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._waiting.append((hint, taken))
        self._more.set()
        return await taken

    async def hand_over(self, handler: Handler) -> None:
        """Calls the handler, until cancelled."""
        while True:
            await self._more.wait()
            batch = [each for each in self._next_batch() if not each[1].done()]
            if not batch:
                continue
            ids = dict.fromkeys(id for hint, _ in batch for id in hint.ids)
            try:
                taken = await self._lease(Hint(self._lane, tuple(ids)), handler)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for _, future in batch:
                    if not future.done():
                        future.set_result(taken)

    def _next_batch(self) -> list[tuple[Hint, asyncio.Future[Taken]]]:
        """Those that wait, as far as they are of one kind (with ids or without), and until it is enough."""
        batch = [self._waiting.popleft()]
        count = len(batch[0][0].ids)
        while self._waiting and count < ENOUGH and bool(self._waiting[0][0].ids) == bool(batch[0][0].ids):
            batch.append(self._waiting.popleft())
            count += len(batch[-1][0].ids)
        if not self._waiting:
            self._more.clear()
        return batch

    async def _lease(self, hint: Hint, handler: Handler) -> Taken:
        while True:
            try:
                return await handler(hint)
            except StoreAway as error:
                structlog.get_logger("queue").warning("store away", during="take", why=str(error))
                await asyncio.sleep(AGAIN)
