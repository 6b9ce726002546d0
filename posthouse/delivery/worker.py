"""The worker: claim, attempt, settle, in batches; and everything that keeps mail from being forgotten.

Two doors bring work: the queue's hints, and the store itself, asked once a second for what is overdue. What is held is
bounded by what the transports hand over in about a second. While no transport can be used, nothing is claimed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from posthouse.delivery.announce import Announcer, Tell
from posthouse.delivery.attempt import HANDED_BACK, Attempt
from posthouse.delivery.breaker import Breaker
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.journal import Journal
from posthouse.delivery.lease import Renewal
from posthouse.delivery.load import Loader
from posthouse.delivery.recover import expired, settle_journals, take_over
from posthouse.delivery.report import report
from posthouse.delivery.retain import retain
from posthouse.delivery.settle import BATCH, Settled, Settler
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Lane, Message
from posthouse.mail.outcome import not_begun
from posthouse.mail.retry import Policy
from posthouse.mail.status import is_of_an_attempt
from posthouse.queue.base import Hint, Queue, Taken
from posthouse.store.base import Store
from posthouse.transport.base import Transport

OVERDUE = 1.0
"""Seconds after which mail that no hint brought is claimed through the second door."""
TURN = 1.0
"""Seconds between two looks at what is overdue, lapsed, expired or left behind by the dead."""
SHARE = 50
"""A look at what lapsed or expired walks all that waits; it may take a fiftieth of the time."""


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`owner` names this process in leases; `lease` and `grace` are seconds; `return_path` is the
    envelope sender of all mail, where it is not to be each mail's own; `templates` is their folder; `keep_bodies` and
    `keep_records` are seconds, None for ever."""

    owner: str
    state_dir: Path
    lease: float = 60.0
    grace: float = 25.0
    return_path: str | None = None
    templates: Path | None = None
    keep_bodies: float | None = None
    keep_records: float | None = None


class Load(msgspec.Struct, frozen=True):
    """What a worker is busy with at this moment: messages `held`, those whose outcome only the journal has, and the
    breakers with their transports."""

    held: int
    unsettled: int
    breakers: Sequence[Breaker]


class Worker:
    """See the module. `start`, then it works until `stop`, which drains. `over` hears of each attempt that ended.
    With `tell` outcomes are announced to whoever keeps the records, else settled."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        transports: Sequence[Transport],
        policy: Policy,
        options: WorkerOptions,
        over: Callable[[Attempt, Settlement], None] = lambda attempt, settlement: None,
        tell: Tell | None = None,
    ) -> None:
        self._store, self._queue, self._policy, self._options = store, queue, policy, options
        self._over = over
        self._journals = options.state_dir / "journals"
        self._log: FilteringBoundLogger = structlog.get_logger("delivery").bind()
        self._breakers = [Breaker(transport, policy.outage, self._turned) for transport in transports]
        self._held: dict[str, Attempt] = {}
        self._taken: dict[str, Taken] = {}
        self._changed = asyncio.Event()
        self._settler = Settler(store, self._settled)
        self._announcer: Announcer | None = None
        if tell is not None:
            self._announcer = Announcer(store, tell, options.owner, options.lease, self._let_go, self._forget)
        self._renewal = Renewal(store, options.owner, options.lease, self._held.values)
        self._handed_over = self._pace = 0
        self._answering_since: float | None = None
        self._lonely: Attempt | None = None
        self._lonely_waits = False
        self._claiming: set[asyncio.Task[list[Message]]] = set()
        self._stopping = False
        self._next_sweep = 0.0

    async def start(self) -> None:
        """Settles what the dead left behind, then takes work."""
        self._journal = Journal(self._journals, self._options.owner, self._store.identity)
        self._journal.open()
        for breaker in self._breakers:
            await breaker.transport.start()
        self._loader = Loader(
            self._store, self._choose, self._give_back, self._options.return_path, self._options.templates
        )
        self._renewal.start()
        self._doors = [
            asyncio.create_task(self._forever(self._second_door)),
            *(asyncio.create_task(self._forever(partial(self._overdue, lane))) for lane in LANES),
            asyncio.create_task(self._forever(lambda: self._queue.consume(self.take))),
        ]
        bodies, records = self._options.keep_bodies, self._options.keep_records
        if bodies is not None or records is not None:
            self._doors.append(
                asyncio.create_task(self._forever(lambda: retain(self._store, bodies, records)))
            )
        self._loading = asyncio.create_task(self._forever(self._loader.run))

    async def stop(self) -> None:
        """Drains: no new claims, what is in the air ends, the rest is handed back (DESIGN §3.9)."""
        ends = elapsed_clock() + self._options.grace
        self._stopping = True
        await _cancel(*self._doors)
        for breaker in self._breakers:
            breaker.transport.recall()
        self._loader.close()
        await asyncio.gather(*self._claiming, return_exceptions=True)
        await self._until_idle(ends)
        for breaker in self._breakers:
            await breaker.stop()
            await breaker.transport.stop()
        await _cancel(self._loading)
        if await self._drained(ends):
            await self._hand_back_the_rest()
        await self._renewal.stop()
        self._journal.close()

    def load(self) -> Load:
        """What it is busy with, for those who watch."""
        return Load(len(self._held), self._journal.unsettled, self._breakers)

    async def take(self, hint: Hint) -> Taken:
        """Claims what a hint points at, in pieces as there is room; a store that is away is asked until it answers."""
        taken, left = Taken(), list(hint.ids)
        while True:
            room = await self._wait_for_room(hint.lane)
            try:
                leased = await self._claim(hint.lane, room, ids=left or None)
            except StoreAway as error:
                self._store_away(error, "claim")
                await asyncio.sleep(TURN)
                continue
            held = self._held.keys() & leased
            taken.leased(held)
            if hint.ids:
                self._taken.update(dict.fromkeys(held, taken))
            left = [id for id in left if id not in leased]
            if not left or len(leased) < room:
                return taken

    async def _claim(
        self,
        lane: Lane,
        limit: int,
        *,
        ids: Sequence[str] | None = None,
        overdue: float = 0.0,
        alone: bool = False,
    ) -> set[str]:
        """Runs to its end even when whoever asked is cancelled: a lease that nobody knows of would have to lapse."""
        asked = self._store.claim(
            self._options.owner, limit, self._options.lease, lane=lane, ids=ids, overdue=overdue, alone=alone
        )
        since = elapsed_clock()
        task = asyncio.ensure_future(asked)
        self._claiming.add(task)
        task.add_done_callback(self._claiming.discard)
        task.add_done_callback(lambda done: self._claimed(done, since, alone))
        return {message.id for message in await asyncio.shield(task)}

    def _claimed(self, done: "asyncio.Task[list[Message]]", since: float, alone: bool) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        if self._announcer is not None:
            self._announcer.outlived([message.id for message in done.result()])
        attempts = [self._attempt(message, since) for message in done.result()]
        self._held.update({attempt.id: attempt for attempt in attempts})
        if alone and attempts:
            self._lonely, self._lonely_waits = attempts[0], True
            self._send_lonely()
        else:
            self._loader.add(attempts)

    def _attempt(self, message: Message, since: float) -> Attempt:
        return Attempt(
            message,
            since,
            self._options.lease,
            journal=self._journal,
            policy=self._policy,
            finished=self._finished,
        )

    def _finished(self, attempt: Attempt, settlement: Settlement) -> None:
        self._loader.freed(attempt)
        if self._announcer is not None and is_of_an_attempt(settlement):
            self._announcer.add(attempt, settlement)
        else:
            self._settler.add(settlement)
        self._over(attempt, settlement)

    def _settled(self, settled: Settled) -> None:
        self._forget(settlement.id for settlement, _ in settled)
        self._let_go(settled)

    def _forget(self, ids: Iterable[str]) -> None:
        """The store has their outcomes."""
        self._journal.settled(ids)

    def _let_go(self, settled: Settled) -> None:
        """The outcomes are safe: there is room for others."""
        for settlement, message in settled:
            self._held.pop(settlement.id, None)
            if (taken := self._taken.pop(settlement.id, None)) is not None:
                taken.settled(settlement.id)
            self._told(settlement, message)
        self._handed_over += len(settled)
        if self._lonely is not None and self._lonely.id not in self._held:
            self._lonely = None
        self._send_lonely()
        self._changed.set()

    def _told(self, settlement: Settlement, message: Message | None) -> None:
        report(self._log, settlement, message)

    def _give_back(self, attempt: Attempt, why: str) -> None:
        """Nothing of it was begun: due again soon, nothing spent."""
        attempt.settle([not_begun(why)] * len(attempt.recipients), wait=HANDED_BACK)

    # Room: what may be held at once.

    @property
    def _capacity(self) -> int:
        return 2 * sum(breaker.transport.connections for breaker in self._breakers) + min(BATCH, self._pace)

    def _room_for(self, lane: Lane) -> int:
        """Bulk leaves a fifth to transactional; a message that is to go alone leaves nothing to any other."""
        if self._stopping or self._lonely is not None or self._choose() is None:
            return 0
        capacity = self._capacity if lane == "transactional" else self._capacity * 4 // 5
        return min(BATCH, capacity - len(self._held))

    async def _wait_for_room(self, lane: Lane, part: int = 4) -> int:
        """Claims are worth a round trip each, so they wait for a quarter of the room, or another part."""
        while self._room_for(lane) < max(1, min(self._capacity // part, BATCH // 2)):
            await self._change()
        return self._room_for(lane)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _choose(self) -> Breaker | None:
        """The first transport, in the order of the settings, that can be used."""
        return next((breaker for breaker in self._breakers if breaker.closed.is_set()), None)

    def _turned(self, what: str, why: str) -> None:
        self._log.warning(what, why=why)
        self._changed.set()

    # The second door.

    async def _second_door(self) -> None:
        while True:
            started = elapsed_clock()
            try:
                await self._look()
                self._answering_since = self._answering_since or started
            except StoreAway as error:
                self._store_away(error, "look for overdue mail")
            before = self._handed_over
            await asyncio.sleep(TURN)
            self._pace = self._handed_over - before
            self._changed.set()

    async def _overdue(self, lane: Lane) -> None:
        """Claims what no hint brought: once a second, and sooner while there is more of it and hints leave half free."""
        while True:
            room, leased = self._room_for(lane), set[str]()
            try:
                if room > 0:
                    leased = await self._claim(lane, room, overdue=OVERDUE)
            except StoreAway as error:
                self._store_away(error, "look for overdue mail")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TURN):
                    await (self._wait_for_room(lane, 2) if 0 < room == len(leased) else asyncio.sleep(TURN))

    async def _look(self) -> None:
        await settle_journals(self._journals, self._store, self._policy, self._told)
        await self._settle_claims()
        await self._take_alone()
        await self._store.sweep()

    async def _settle_claims(self) -> None:
        """Takes over what can only be settled: leases that lapsed, mail whose time is over."""
        owner, lease = self._options.owner, self._options.lease
        since, known = elapsed_clock(), self._answering_since
        if since < self._next_sweep:
            return
        settlements = [expired(message) for message in await self._store.expired(owner, BATCH, lease)]
        if known is not None and since - known >= lease:
            settlements += await take_over(self._store, owner, BATCH, lease, self._policy)
        self._next_sweep = since + SHARE * (elapsed_clock() - since)
        for settlement in settlements:
            self._settler.add(settlement)

    async def _take_alone(self) -> None:
        """Claims a message that has cost several workers; it is sent when nothing else is held."""
        for lane in LANES:
            if self._lonely is None and self._room_for(lane) > 0:
                await self._claim(lane, 1, alone=True)

    def _send_lonely(self) -> None:
        if self._lonely is not None and self._lonely_waits and list(self._held) == [self._lonely.id]:
            self._lonely_waits = False
            self._loader.add([self._lonely])

    async def _drained(self, ends: float) -> bool:
        """Whether every outcome is in the store."""
        announced = self._announcer is None or await self._announcer.drain(max(1.0, ends - elapsed_clock()))
        return await self._settler.drain(max(1.0, ends - elapsed_clock())) and announced

    async def _until_idle(self, ends: float) -> None:
        while self._held and elapsed_clock() < ends:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._change(), max(ends - elapsed_clock(), 0.0))

    async def _hand_back_the_rest(self) -> None:
        """What is leased to us and was never begun: a claim whose answer came too late."""
        with contextlib.suppress(StoreAway):
            left = await self._store.held(self._options.owner)
            await self._store.release([(message.id, message.fence) for message in left], 0.0)

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """A bug in one turn must not end a door for ever."""
        while True:
            try:
                await work()
            except Exception:
                self._log.exception("worker stumbled")
                await asyncio.sleep(TURN)

    def _store_away(self, error: StoreAway, during: str) -> None:
        self._answering_since = None
        self._log.warning("store away", during=during, why=str(error))


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
