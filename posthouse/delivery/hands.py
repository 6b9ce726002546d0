"""What one process has in hand: mail that it claimed, from the claim to the outcome in the store.

What is held is bounded by what the transports hand over in about a second; bulk leaves a fifth of it to transactional.
While no transport can be used there is no room, so nothing is claimed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable, Sequence
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
from posthouse.delivery.manner import FindMade, Manner
from posthouse.delivery.report import report
from posthouse.delivery.settle import Settled, Settler
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Content, Lane, Message
from posthouse.mail.outcome import not_begun
from posthouse.mail.retry import Policy
from posthouse.mail.status import is_of_an_attempt
from posthouse.mail.unsubscribe import Links
from posthouse.queue.base import Taken
from posthouse.store.base import Store
from posthouse.store.catalog.campaigns import Mails
from posthouse.suppressed import SuppressionList
from posthouse.transport.base import Transport

Leased = tuple[Message, Content | None]
"""A message that was leased, and what it says, if that came with it."""
Draw = Callable[[int, str, float], Awaitable[Mails]]
"""Makes up to so many mails, leased to an owner for so many seconds. Raises StoreAway."""
Over = Callable[[Attempt, Settlement], None]
"""Hears of each attempt that ended."""


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`owner` names this process in leases; `lease` and `grace` are seconds; `return_path` is the
    envelope sender of all mail, where it is not to be each mail's own; `templates` is their folder; `links` makes those by
    which people unsubscribe; `keep_bodies` and `keep_records` are seconds, None for ever."""

    owner: str
    state_dir: Path
    lease: float = 60.0
    grace: float = 25.0
    return_path: str | None = None
    templates: Path | None = None
    links: Links | None = None
    keep_bodies: float | None = None
    keep_records: float | None = None

    @property
    def journals(self) -> Path:
        """The folder of the journals, those of other processes too."""
        return self.state_dir / "journals"


class Hands:
    """See the module. With `tell` outcomes are announced to whoever keeps the records, else settled. `manner` tells how
    mail of campaigns is made, `suppressed` whom none must go to."""

    def __init__(
        self,
        store: Store,
        transports: Sequence[Transport],
        policy: Policy,
        options: WorkerOptions,
        over: Over,
        tell: Tell | None,
        manner: Manner | None = None,
        suppressed: SuppressionList | None = None,
        find: FindMade | None = None,
    ) -> None:
        self._store, self._policy, self._options, self._over = store, policy, options, over
        self._log: FilteringBoundLogger = structlog.get_logger("delivery").bind()
        self.breakers = [Breaker(transport, policy.outage, self._turned) for transport in transports]
        self.held: dict[str, Attempt] = {}
        self._taken: dict[str, Taken] = {}
        self._changed = asyncio.Event()
        self.settler = Settler(store, self._settled)
        self._announcer: Announcer | None = None
        if tell is not None:
            self._announcer = Announcer(store, tell, options.owner, options.lease, self._let_go, self._forget)
        self._renewal = Renewal(store, options.owner, options.lease, self.held.values)
        self._loader = Loader(
            store,
            self.choose,
            self._give_back,
            options.return_path,
            options.templates,
            manner,
            suppressed,
            find,
            options.links,
        )
        self._handed_over = self._pace = 0
        self._lonely: Attempt | None = None
        self._lonely_waits = False
        self._claiming: set[asyncio.Task[list[Leased]]] = set()
        self._asked: dict[Lane, int] = {"transactional": 0, "bulk": 0}
        self._stopping = False

    @property
    def unsettled(self) -> int:
        """How many outcomes only the journal has."""
        return self._journal.unsettled

    @property
    def has_lonely(self) -> bool:
        """Whether a message is held that is to go alone."""
        return self._lonely is not None

    async def start(self) -> None:
        """Makes ready to claim."""
        self._journal = Journal(self._options.journals, self._options.owner, self._store.identity)
        self._journal.open()
        for breaker in self.breakers:
            await breaker.transport.start()
        self._renewal.start()

    async def load(self) -> None:
        """Carries what is claimed to the transports, until cancelled."""
        await self._loader.run()

    async def let_go(self) -> None:
        """No claim any more, and all that no connection has taken is given back: the begin of a drain."""
        self._stopping = True
        for breaker in self.breakers:
            breaker.transport.recall()
        self._loader.close()
        await asyncio.gather(*self._claiming, return_exceptions=True)

    async def end(self, ends: float) -> None:
        """Waits until `ends` (elapsed_clock) for what is in the air, then ends it."""
        while self.held and elapsed_clock() < ends:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(ends - elapsed_clock(), 0.0)):
                    await self.change()
        for breaker in self.breakers:
            await breaker.stop()
            await breaker.transport.stop()

    async def close(self, ends: float) -> None:
        """Brings every outcome into the store, and hands back what is left."""
        if await self._drained(ends):
            await self._hand_back_the_rest()
        await self._renewal.stop()
        self._journal.close()

    async def claim(
        self,
        lane: Lane,
        limit: int,
        *,
        campaign: str | None = None,
        ids: Sequence[str] | None = None,
        overdue: float = 0.0,
        alone: bool = False,
    ) -> set[str]:
        """The ids that were leased. Runs to its end even when whoever asked is cancelled: a lease that nobody knows of
        would have to lapse. Raises StoreAway."""
        wanted = limit if ids is None else min(limit, len(ids))
        claimed = self._store.claim(
            self._options.owner,
            limit,
            self._options.lease,
            lane=lane,
            campaign=campaign,
            ids=ids,
            overdue=overdue,
            alone=alone,
        )

        async def without_content() -> list[Leased]:
            return [(message, None) for message in await claimed]

        leased = await self._lease(lane, wanted, without_content(), alone)
        return {message.id for message, _ in leased}

    async def draw(self, draw: Draw, limit: int) -> list[Leased]:
        """The same with mail that is made now, and comes with what it says."""

        async def with_content() -> list[Leased]:
            return [*await draw(limit, self._options.owner, self._options.lease)]

        return await self._lease("bulk", limit, with_content())

    async def _lease(
        self, lane: Lane, wanted: int, asked: Coroutine[None, None, list[Leased]], alone: bool = False
    ) -> list[Leased]:
        since = elapsed_clock()
        self._asked[lane] += wanted
        task = asyncio.get_running_loop().create_task(asked)
        self._claiming.add(task)
        task.add_done_callback(lambda done: self._answered(done, lane, wanted, since, alone))
        return await asyncio.shield(task)

    def acks(self, ids: Iterable[str], taken: Taken) -> None:
        """Tells `taken` when these are settled or given back."""
        self._taken.update(dict.fromkeys(ids, taken))

    def recall(self, ids: Container[str]) -> None:
        """Gives back what of these no connection has taken yet."""
        self._loader.recall(ids)
        for breaker in self.breakers:
            breaker.transport.recall(ids)

    def told(self, settlement: Settlement, message: Message | None) -> None:
        """Says in the log what became of an attempt."""
        report(self._log, settlement, message)

    def _answered(
        self, done: "asyncio.Task[list[Leased]]", lane: Lane, wanted: int, since: float, alone: bool
    ) -> None:
        self._claiming.discard(done)
        self._asked[lane] -= wanted
        if not done.cancelled() and done.exception() is None:
            self._claimed(done.result(), since, alone)
        self._changed.set()

    def _claimed(self, leased: Sequence[Leased], since: float, alone: bool) -> None:
        if self._announcer is not None:
            self._announcer.outlived([message.id for message, _ in leased])
        attempts = [self._attempt(message, content, since) for message, content in leased]
        self.held.update({attempt.id: attempt for attempt in attempts})
        if alone and attempts:
            self._lonely, self._lonely_waits = attempts[0], True
            self._send_lonely()
        else:
            self._loader.add(attempts)

    def _attempt(self, message: Message, content: Content | None, since: float) -> Attempt:
        return Attempt(
            message,
            since,
            self._options.lease,
            journal=self._journal,
            policy=self._policy,
            finished=self._finished,
            content=content,
        )

    def _finished(self, attempt: Attempt, settlement: Settlement) -> None:
        self._loader.freed(attempt)
        if self._announcer is not None and is_of_an_attempt(settlement):
            self._announcer.add(attempt, settlement)
        else:
            self.settler.add(settlement)
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
            self.held.pop(settlement.id, None)
            if (taken := self._taken.pop(settlement.id, None)) is not None:
                taken.settled(settlement.id)
            self.told(settlement, message)
        self._handed_over += len(settled)
        if self._lonely is not None and self._lonely.id not in self.held:
            self._lonely = None
        self._send_lonely()
        self._changed.set()

    def _give_back(self, attempt: Attempt, why: str) -> None:
        """Nothing of it was begun: due again soon, nothing spent."""
        attempt.settle([not_begun(why)] * len(attempt.recipients), wait=HANDED_BACK)

    def _send_lonely(self) -> None:
        if self._lonely is not None and self._lonely_waits and list(self.held) == [self._lonely.id]:
            self._lonely_waits = False
            self._loader.add([self._lonely])

    # Room: what may be held at once.

    def room(self, lane: Lane) -> int:
        """How many more may be claimed. Bulk leaves a fifth to transactional, which does not wait for what bulk only
        asks for; a message that is to go alone leaves nothing to any other."""
        if self._stopping or self._lonely is not None or self.choose() is None:
            return 0
        held = len(self.held) + self._asked["transactional"]
        if lane == "bulk":
            held += self._asked["bulk"]
        return min(self._store.batch, self.capacity(lane) - held)

    async def wait_for_room(self, lane: Lane, part: int = 5) -> int:
        """Claims are worth a round trip each, so they wait for a fifth of the room, or another part."""
        while self.room(lane) < max(1, min(self._capacity // part, self._store.batch // 2)):
            await self.change()
        return self.room(lane)

    def turned(self) -> None:
        """To be called once a second: what was handed over meanwhile is what may be held."""
        self._pace, self._handed_over = self._handed_over, 0
        self._changed.set()

    def capacity(self, lane: Lane) -> int:
        """How many may be held for a lane when nothing else is."""
        return self._capacity if lane == "transactional" else self._capacity * 4 // 5

    async def change(self) -> None:
        """Returns when there may be more room, or mail that is held."""
        self._changed.clear()
        await self._changed.wait()

    @property
    def _capacity(self) -> int:
        connections = sum(breaker.transport.connections for breaker in self.breakers)
        return 2 * connections + min(self._store.batch, self._pace)

    def choose(self) -> Breaker | None:
        """The first transport, in the order of the settings, that can be used."""
        return next((breaker for breaker in self.breakers if breaker.closed.is_set()), None)

    def _turned(self, what: str, why: str) -> None:
        self._log.warning(what, why=why)
        self._changed.set()

    # The end.

    async def _drained(self, ends: float) -> bool:
        """Whether every outcome is in the store."""
        announced = self._announcer is None or await self._announcer.drain(max(1.0, ends - elapsed_clock()))
        return await self.settler.drain(max(1.0, ends - elapsed_clock())) and announced

    async def _hand_back_the_rest(self) -> None:
        """What is leased to us and was never begun: a claim whose answer came too late."""
        with contextlib.suppress(StoreAway):
            left = await self._store.held(self._options.owner)
            await self._store.release([(message.id, message.fence) for message in left], 0.0)
