"""The queue `store:`: the store's own wake-up. No second system: hints only say that there is work.

It is given the store's `next_due` and wakes a lane when mail was accepted in this process, when the next try is due,
when the store tells that another process saved mail (`listen`, where it can), and once a second in any case.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Lane
from posthouse.queue.base import Handler, Hint

LONGEST = 1.0
"""Seconds between two looks at most."""


class StoreQueue:
    """See queue.base. `next_due` answers the seconds until mail of a lane is due, or None; `listen` calls what it is
    given for each lane that mail was saved in, until cancelled."""

    def __init__(
        self,
        next_due: Callable[[Lane], Awaitable[float | None]],
        listen: Callable[[Callable[[Lane], None]], Awaitable[None]] | None = None,
    ) -> None:
        self._next_due, self._listen = next_due, listen
        self._woken = {lane: asyncio.Event() for lane in LANES}

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def publish(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            self._woken[hint.lane].set()

    async def consume(self, handler: Handler) -> None:
        async with asyncio.TaskGroup() as lanes:
            for lane in LANES:
                lanes.create_task(self._consume(lane, handler))
            if self._listen is not None:
                await self._listen(lambda lane: self._woken[lane].set())

    async def depth(self) -> dict[Lane, int]:
        return {lane: int(self._woken[lane].is_set()) for lane in LANES}

    async def _consume(self, lane: Lane, handler: Handler) -> None:
        woken = self._woken[lane]
        while True:
            woken.clear()
            try:
                while (await handler(Hint(lane))).count:
                    pass
            except Exception:
                structlog.get_logger("queue").exception("handler failed", lane=lane)
                await asyncio.sleep(LONGEST)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(await self._pause(lane)):
                    await woken.wait()

    async def _pause(self, lane: Lane) -> float:
        try:
            due = await self._next_due(lane)
        except StoreAway:
            return LONGEST
        return LONGEST if due is None else min(max(due, 0.01), LONGEST)
