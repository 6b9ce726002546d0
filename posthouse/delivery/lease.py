"""Renewal of leases, apart from the worker's loop (DESIGN §3.3).

A thread with an event loop of its own renews what will need longer, but only while the worker's loop has turned
within half a lease and the attempt is younger than its transport's limit. So a worker that hangs loses its leases.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable

import structlog

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.errors import StoreAway
from posthouse.store.base import Store

WAITING = 600.0
"""Seconds that a mail may wait here, for its content, its template or a transport, before its lease is let go."""


class Renewal:
    """Keeps the leases that `held` lists alive, for `owner`, `lease` seconds at a time."""

    def __init__(self, store: Store, owner: str, lease: float, held: Callable[[], Iterable[Attempt]]) -> None:
        self._store, self._owner, self._lease, self._held = store, owner, lease, held
        self._turned = elapsed_clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="renewal", daemon=True)

    def start(self) -> None:
        """Starts the thread, and the sign of life of the calling loop."""
        self._alive = asyncio.get_running_loop().create_task(self._turn())
        self._thread.start()

    async def stop(self) -> None:
        """Ends both."""
        self._alive.cancel()
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    async def _turn(self) -> None:
        while True:
            self._turned = elapsed_clock()
            await asyncio.sleep(self._lease / 8)

    async def _run(self) -> None:
        log = structlog.get_logger("delivery")
        while not await asyncio.to_thread(self._stopping.wait, self._lease / 8):
            try:
                await self._renew()
            except StoreAway as error:
                log.warning("store away", during="renew", why=str(error))
            except Exception:
                log.exception("renewal stumbled")

    async def _renew(self) -> None:
        at = elapsed_clock()
        if at - self._turned > self._lease / 2:
            return
        due = {attempt.id: attempt for attempt in list(self._held()) if self._needs(attempt, at)}
        if not due:
            return
        renewed = set(await self._store.renew(self._owner, list(due), self._lease))
        for id, attempt in due.items():
            attempt.lease_until = at + self._lease if id in renewed else 0.0

    def _needs(self, attempt: Attempt, at: float) -> bool:
        limit = attempt.breaker.transport.limit if attempt.breaker else max(WAITING, self._lease)
        return attempt.lease_until - at < self._lease / 2 and at - attempt.started < limit
