"""The worker: claim, attempt, settle, in batches; and everything that keeps mail from being forgotten.

Two doors bring work: the queue's hints, and the store itself (delivery.second_door).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
import structlog

from posthouse.delivery.announce import Tell
from posthouse.delivery.attempt import Attempt
from posthouse.delivery.breaker import Breaker
from posthouse.delivery.campaigns import Bulk, campaign_work
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.hands import Hands, Over, WorkerOptions
from posthouse.delivery.manner import FindMade, manner_of
from posthouse.delivery.retain import retain
from posthouse.delivery.second_door import TURN, SecondDoor
from posthouse.delivery.suppress import Suppressor
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES
from posthouse.mail.retry import Policy
from posthouse.queue.base import Campaigning, Hint, Queue, Taken
from posthouse.store.base import Store
from posthouse.suppressed import SuppressionList
from posthouse.transport.base import Transport


class Load(msgspec.Struct, frozen=True):
    """What a worker is busy with at this moment: messages `held`, those whose outcome only the journal has, and the
    breakers with their transports."""

    held: int
    unsettled: int
    breakers: Sequence[Breaker]


class Worker:
    """See the module. `start`, then it works until `stop`, which drains. `over` hears of each attempt that ended.
    With `tell` outcomes are announced to whoever keeps the records, else settled. With `bulk` campaigns are sent;
    `suppressed` knows whom no mail must go to; `find` finds templates of the catalog."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        transports: Sequence[Transport],
        policy: Policy,
        options: WorkerOptions,
        over: Over = lambda attempt, settlement: None,
        tell: Tell | None = None,
        bulk: Bulk | None = None,
        suppressed: SuppressionList | None = None,
        find: FindMade | None = None,
    ) -> None:
        self._store, self._queue, self._options = store, queue, options
        manner = bulk and manner_of(bulk.campaigns, bulk.find)
        suppressed = suppressed or SuppressionList()
        self._hands = Hands(store, transports, policy, options, self._over, tell, manner, suppressed, find)
        self._told = over
        self._suppressor = Suppressor(suppressed, self._hands.held.values, self._hands.recall)
        self._second = SecondDoor(store, self._hands, policy, options)
        self._campaigns = bulk and campaign_work(bulk, store, self._hands)

    async def start(self) -> None:
        """Settles what the dead left behind, then takes work."""
        await self._hands.start()
        doors: list[Callable[[], Awaitable[None]]] = [
            self._second.look,
            *(partial(self._second.overdue, lane) for lane in LANES),
            self._suppressor.watch,
            lambda: self._queue.consume(self.take),
        ]
        if self._campaigns is not None:
            doors += [self._campaigns.look, self._campaigns.turns.run]
            if isinstance(self._queue, Campaigning):
                self._queue.accompany(self._campaigns.follow)
        bodies, records = self._options.keep_bodies, self._options.keep_records
        if bodies is not None or records is not None:
            doors.append(lambda: retain(self._store, bodies, records))
        self._doors = [asyncio.create_task(_forever(door)) for door in doors]
        self._loading = asyncio.create_task(_forever(self._hands.load))

    async def stop(self) -> None:
        """Drains: no new claims, what is in the air ends, the rest is handed back (DESIGN §3.9)."""
        ends = elapsed_clock() + self._options.grace
        await _cancel(*self._doors)
        await self._hands.let_go()
        await self._hands.end(ends)
        await _cancel(self._loading)
        await self._hands.close(ends)
        with contextlib.suppress(StoreAway):
            await self._suppressor.flush()

    def load(self) -> Load:
        """What it is busy with, for those who watch."""
        return Load(len(self._hands.held), self._hands.unsettled, self._hands.breakers)

    def _over(self, attempt: Attempt, settlement: Settlement) -> None:
        self._suppressor.heard(attempt, settlement)
        self._told(attempt, settlement)

    async def take(self, hint: Hint) -> Taken:
        """Claims what a hint points at, in pieces as there is room; a store that is away is asked until it answers."""
        taken, left = Taken(), list(hint.ids)
        while True:
            room = await self._hands.wait_for_room(hint.lane)
            some = left[:room]
            try:
                leased = await self._hands.claim(hint.lane, room, ids=some or None)
            except StoreAway as error:
                self._second.store_away(error, "claim")
                await asyncio.sleep(TURN)
                continue
            held = self._hands.held.keys() & leased
            taken.leased(held)
            if hint.ids:
                self._hands.acks(held, taken)
            left = left[room:]
            if not left and (hint.ids or len(leased) < room):
                return taken


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    """A bug in one turn must not end a door for ever."""
    while True:
        try:
            await work()
        except Exception:
            structlog.get_logger("delivery").exception("worker stumbled")
            await asyncio.sleep(TURN)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
