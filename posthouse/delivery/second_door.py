"""The second door to work: the store itself, asked once a second for what no hint brought and for what others left behind.

Overdue mail is claimed; what dead workers held, and mail whose time is over, can only be settled.
"""

import asyncio
import contextlib
from pathlib import Path

import structlog

from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.hands import Hands, WorkerOptions
from posthouse.delivery.recover import expired, settle_journals, take_over
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Lane
from posthouse.mail.retry import Policy
from posthouse.store.base import Store

OVERDUE = 1.0
"""Seconds after which mail that no hint brought is claimed through the second door."""
TURN = 1.0
"""Seconds between two looks at what is overdue, lapsed, expired or left behind by the dead."""
SHARE, RAREST = 50, 5.0
"""A look at what lapsed, expired or is to go alone walks all that waits; it may take a fiftieth of the time, but is made every
so many seconds at least."""
LATE = 10.0
"""Seconds after which a store answers no claim any more of a worker that has died: twice what a call may take."""


class SecondDoor:
    """See the module. `look` and `overdue` go on until cancelled."""

    def __init__(self, store: Store, hands: Hands, policy: Policy, options: WorkerOptions) -> None:
        self._store, self._hands, self._policy, self._options = store, hands, policy, options
        self._answering_since: float | None = None
        self._next_walk = 0.0
        self._dead: dict[Path, float] = {}

    async def look(self) -> None:
        """Looks at what is left behind, once a second."""
        while True:
            started = elapsed_clock()
            try:
                await self._look(started)
                self._answering_since = self._answering_since or started
            except StoreAway as error:
                self.store_away(error, "look for overdue mail")
            await asyncio.sleep(TURN)
            if elapsed_clock() - started - TURN > self._options.lease / 2:
                self._answering_since = (
                    None  # we were stopped or asleep: our leases, and others', ran out meanwhile
                )
            self._hands.turned()

    async def overdue(self, lane: Lane) -> None:
        """Claims what no hint brought: once a second, and sooner while there is more of it and hints leave half free."""
        while True:
            room, leased = self._hands.room(lane), set[str]()
            try:
                if room > 0:
                    leased = await self._hands.claim(lane, room, overdue=OVERDUE)
            except StoreAway as error:
                self.store_away(error, "look for overdue mail")
            more = 0 < room == len(leased)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TURN):
                    await (self._hands.wait_for_room(lane, 2) if more else asyncio.sleep(TURN))

    def store_away(self, error: StoreAway, during: str) -> None:
        """It has not answered without a break, so leases that lapse now are for their holders to settle first."""
        self._answering_since = None
        structlog.get_logger("delivery").warning("store away", during=during, why=str(error))

    async def _look(self, started: float) -> None:
        await settle_journals(
            self._options.journals, self._store, self._policy, self._hands.told, self._is_over
        )
        since = elapsed_clock()
        if since >= self._next_walk:
            await self._settle_expired()
            await self._take_over(started)
            await self._take_alone()
            self._next_walk = since + min(RAREST, SHARE * (elapsed_clock() - since))
        await self._store.sweep()

    def _is_over(self, journal: Path) -> bool:
        """Whether a journal of the dead, which we have found, is kept no longer."""
        found = elapsed_clock()
        self._dead = {path: since for path, since in self._dead.items() if path.exists()}
        return found - self._dead.setdefault(journal, found) >= LATE

    async def _settle_expired(self) -> None:
        """Takes over mail whose time is over, which can only be settled."""
        for message in await self._store.expired(self._options.owner, self._store.batch, self._options.lease):
            self._hands.settler.add(expired(message))

    async def _take_over(self, started: float) -> None:
        """Takes over leases that lapsed, if the store has answered without a break for one lease. A store waits out a short
        break rather than say that it is away: so this look, begun when it `started`, must have had quick answers too."""
        owner, lease, known = self._options.owner, self._options.lease, self._answering_since
        quick = lease / 2
        if known is None or started - known < lease or elapsed_clock() - started > quick:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(quick):
                taken = await take_over(self._store, owner, self._store.batch, lease, self._policy)
            for settlement in taken:
                self._hands.settler.add(settlement)

    async def _take_alone(self) -> None:
        """Claims a message that has cost several workers; it is sent when nothing else is held."""
        for lane in LANES:
            if not self._hands.has_lonely and self._hands.room(lane) > 0:
                await self._hands.claim(lane, 1, alone=True)
