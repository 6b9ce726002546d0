"""Batcher: concurrent calls coalesced into one batch call (group commit), without adding delay.

Rules: an idle Batcher flushes at the end of the loop's turn; while a batch is in the air the next one gathers.
Batches are bounded by count and by weight. An item heavier than the bound goes alone, and the light ones that came
meanwhile go before the next heavy one. When a batch fails for a reason that is its own, it is split until only the
culprit fails; when the other side is away, all of it fails.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Full(Exception):
    """The buffer holds as much as it may: ask again later."""


class Batcher(Generic[Item, Result]):
    """Gathers items for `call`, which answers a batch with one result per item, in order.

    `most` and `weight` bound a batch, `room` and `room_weight` what may wait in all; `weigh` gives an item's weight
    (bytes). Exceptions of the types in `away` are about the other side and are never answered by splitting.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        *,
        most: int = 200,
        weight: int = 8 << 20,
        room: int = 20_000,
        room_weight: int = 256 << 20,
        weigh: Callable[[Item], int] = lambda _: 1,
        away: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._call = call
        self._most, self._weight, self._room, self._room_weight = most, weight, room, room_weight
        self._weigh = weigh
        self._away = away
        self._light: deque[tuple[Item, int, asyncio.Future[Result]]] = deque()
        self._heavy: deque[tuple[Item, int, asyncio.Future[Result]]] = deque()
        self._waiting_weight = 0
        self._was_light = False
        self._running: asyncio.Task[None] | None = None

    def add(self, item: Item) -> asyncio.Future[Result]:
        """A future of the item's result; raises Full at once when there is no room."""
        weight = self._weigh(item)
        waiting = len(self._light) + len(self._heavy)
        crowded = self._waiting_weight + weight > self._room_weight and waiting
        if waiting >= self._room or crowded:
            raise Full
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        (self._heavy if weight > self._weight else self._light).append((item, weight, future))
        self._waiting_weight += weight
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        return future

    async def drain(self) -> None:
        """Returns when nothing waits and nothing is in the air."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._light or self._heavy:
                await self._answer(self._next_batch())
        finally:
            self._running = None

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        if self._heavy and (self._was_light or not self._light):
            self._was_light = False
            return [self._taken(self._heavy)]
        self._was_light = True
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        total = 0
        while self._light and len(batch) < self._most:
            total += self._light[0][1]
            if batch and total > self._weight:
                break
            batch.append(self._taken(self._light))
        return batch

    def _taken(
        self, line: deque[tuple[Item, int, asyncio.Future[Result]]]
    ) -> tuple[Item, asyncio.Future[Result]]:
        item, weight, future = line.popleft()
        self._waiting_weight -= weight
        return item, future

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._call([item for item, _ in batch])
            answered = list(zip(batch, results, strict=True))
        except Exception as error:
            if len(batch) == 1 or isinstance(error, self._away):
                _fail(batch, error)
                return
            half = len(batch) // 2
            await self._answer(batch[:half])
            await self._answer(batch[half:])
            return
        for (_, future), result in answered:
            if not future.done():
                future.set_result(result)


def _fail(batch: Sequence[tuple[object, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
