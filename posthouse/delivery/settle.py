"""Settle: outcomes into the store, in batches; while one batch is in the air the next gathers.

Rules: an outcome is kept (here and in the journal) until the store has it; a store that is away is asked again for
as long as it takes. When a batch fails for a reason of its own it is settled one by one, and only the culprit is
given up, loudly: its lease will lapse.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Message
from posthouse.store.base import Store

AGAIN = 0.25
"""Seconds before a store that was away is asked again."""

Settled = Sequence[tuple[Settlement, Message | None]]


class Settler:
    """Takes settlements by `add`; `done` hears of each batch that the store has (None where the fence was stale)."""

    def __init__(self, store: Store, done: Callable[[Settled], None]) -> None:
        self._store = store
        self._done = done
        self._waiting: deque[Settlement] = deque()
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("delivery")

    def add(self, settlement: Settlement) -> None:
        """Queues one settlement; it is in the store when `done` has heard of it."""
        self._waiting.append(settlement)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def drain(self, limit: float) -> bool:
        """Waits up to `limit` seconds until everything is settled; whether it is."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=limit)
        return self._task is None

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(self._store.batch, len(self._waiting)))]
                self._done(await self._settle(batch))
        finally:
            self._task = None

    async def _settle(self, batch: list[Settlement]) -> Settled:
        while True:
            try:
                return list(zip(batch, await self._store.settle(batch), strict=True))
            except StoreAway as error:
                self._log.warning("store away", during="settle", waiting=len(self._waiting), why=str(error))
                await asyncio.sleep(AGAIN)
            except Exception:
                if len(batch) == 1:
                    self._log.exception("settlement given up", id=batch[0].id)
                    return [(batch[0], None)]
                return [pair for one in batch for pair in await self._settle([one])]
