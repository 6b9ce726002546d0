"""Announce: outcomes as status events, for a records service that writes them (POSTHOUSE_REPORT=events, DESIGN §6).

Rules: an event is kept by the queue before the hint of its mail is acked. The lease is renewed, and the journal keeps
the outcome, until the record shows it. An event that the queue does not take, or that has not reached the record after
LATE seconds, is settled through the store as well: under the same fence, so twice is harmless, and none is lost.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.clock import elapsed_clock, wall_clock
from posthouse.delivery.settle import Settled, Settler
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.events import EmailStatusEvent
from posthouse.mail.message import Message
from posthouse.mail.status import after, status_event
from posthouse.queue.base import QueueAway
from posthouse.store.base import Store

BATCH = 128
"""Events that are told at once."""
LATE = 10.0
"""Seconds after which an event that was told is settled, too."""
LOOK = 1.0
"""Seconds after which a record is first looked at; then it has twice that, and so on."""
LEASE_PART = 4
"""It is looked at as often as this within a lease, at least: each look renews what is still leased."""

Tell = Callable[[Sequence[EmailStatusEvent]], Awaitable[None]]
"""Keeps events in the queue, or raises QueueAway."""


class _Entry:
    """An outcome on its way: `message` is the record as it will be; `told_at` and `look_at` are on elapsed_clock."""

    def __init__(self, message: Message, settlement: Settlement, event: EmailStatusEvent) -> None:
        self.message, self.settlement, self.event = message, settlement, event
        self.told_at: float | None = None
        self.look_at = 0.0
        self.let_go = self.settling = False


class Announcer:
    """`done` hears of each outcome once the queue or the store has it, `shown` of the ids whose records show it.
    Leases are those of `owner`, for `lease` seconds."""

    def __init__(
        self,
        store: Store,
        tell: Tell,
        owner: str,
        lease: float,
        done: Callable[[Settled], None],
        shown: Callable[[Iterable[str]], None],
    ) -> None:
        self._store, self._tell, self._owner, self._lease = store, tell, owner, lease
        self._done, self._shown = done, shown
        self._settler = Settler(store, self._settled)
        self._waiting: deque[_Entry] = deque()
        self._open: dict[str, _Entry] = {}
        self._telling: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("delivery")

    def add(self, attempt: Attempt, settlement: Settlement) -> None:
        """Takes what an attempt gave."""
        now = wall_clock()
        message = after(attempt.message, settlement, now)
        event = status_event(message, settlement, now)
        self._open[message.id] = entry = _Entry(message, settlement, event)
        self._waiting.append(entry)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._run())
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    def outlived(self, ids: Iterable[str]) -> None:
        """These were leased anew, so their records have shown what was announced before."""
        self._close([self._open[id] for id in ids if id in self._open])

    async def drain(self, limit: float) -> bool:
        """Within `limit` seconds, tells what waits and settles what no record shows yet; whether all is done."""
        ends = elapsed_clock() + limit
        if self._telling is not None:
            await asyncio.wait([self._telling], timeout=limit)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        self._settle(list(self._open.values()))
        await self._settler.drain(max(ends - elapsed_clock(), 1.0))
        return not self._open

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._announce(batch)
        finally:
            self._telling = None

    async def _announce(self, batch: list[_Entry]) -> None:
        try:
            await self._tell([entry.event for entry in batch])
        except QueueAway as error:
            self._log.warning(
                "queue away", during="status events", why=str(error), meanwhile="settled directly"
            )
            self._settle(batch)
        except Exception:
            self._log.exception("status events stumbled")
            self._settle(batch)
        else:
            now = elapsed_clock()
            for entry in batch:
                entry.told_at, entry.look_at = now, now + self._wait(0.0)
            self._let_go([(entry, entry.message) for entry in batch])

    async def _look(self) -> None:
        """While anything is announced, asks whether it is still ours: who keeps the records ends our lease."""
        try:
            while self._open:
                await asyncio.sleep(self._wait(0.0))
                now = elapsed_clock()
                told = [each for each in self._open.values() if each.told_at is not None]
                with contextlib.suppress(StoreAway):
                    await self._check([entry for entry in told if entry.look_at <= now], now)
        finally:
            self._looking = None

    async def _check(self, told: list[_Entry], now: float) -> None:
        ids = [entry.message.id for entry in told]
        held = set(await self._store.renew(self._owner, ids, self._lease)) if ids else set[str]()
        self._close([entry for entry in told if entry.message.id not in held])
        left = [entry for entry in told if entry.message.id in held]
        for entry in left:
            entry.look_at = now + self._wait(now - (entry.told_at or now))
        self._settle([entry for entry in left if (entry.told_at or 0.0) <= now - LATE])

    def _wait(self, age: float) -> float:
        """Until the next look at what was told so long ago."""
        return min(max(age, LOOK), self._lease / LEASE_PART, max(LATE - age, LOOK))

    def _settle(self, entries: Iterable[_Entry]) -> None:
        for entry in entries:
            if not entry.settling and self._is_open(entry):
                entry.settling = True
                self._settler.add(entry.settlement)

    def _settled(self, settled: Settled) -> None:
        for settlement, message in settled:
            entry = self._open.get(settlement.id)
            if entry is not None and entry.settlement is settlement:
                self._let_go([(entry, message)])
                self._close([entry])

    def _let_go(self, entries: Sequence[tuple[_Entry, Message | None]]) -> None:
        fresh = [(entry, message) for entry, message in entries if not entry.let_go and self._is_open(entry)]
        for entry, _ in fresh:
            entry.let_go = True
        if fresh:
            self._done([(entry.settlement, message) for entry, message in fresh])

    def _close(self, entries: Sequence[_Entry]) -> None:
        self._let_go([(entry, entry.message) for entry in entries])
        ids = [entry.message.id for entry in entries if self._is_open(entry)]
        for id in ids:
            del self._open[id]
        self._shown(ids)

    def _is_open(self, entry: _Entry) -> bool:
        return self._open.get(entry.message.id) is entry
