"""Fair turns: mail of campaigns is claimed campaign by campaign, within the room that bulk has; what is not made yet is made
then, and comes leased, so that most mail of a campaign is written to the store only twice.

Rules: of those with the highest priority that have mail due, the one goes next whose last turn is longest ago. A campaign's
rate holds over all processes (Store.lease_rate), and what one may start in a second is spread over that second. Where
several have turns none holds more than its share of the room, so that one whose mail takes long does not stop the others.
"""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import structlog

from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.hands import Hands
from posthouse.mail.campaign import Campaign
from posthouse.mail.errors import StoreAway
from posthouse.rate import Rate
from posthouse.store.base import Store
from posthouse.store.catalog.campaigns import Mails

PART = 2
"""Claims wait for half of the room: a campaign has enough to fill it, and a claim costs the same for one as for many."""
LEFT = 1.0
"""Seconds that a lease of a rate is good for."""
AGAIN = 1.0
"""Seconds before a store that was away is asked again."""
LATELY = 10.0
"""Seconds since the last draw of a campaign in which another may be expected."""

DrawOf = Callable[[str, int, str, float], Awaitable[Mails]]
"""The mail of a campaign (id), up to so many, leased to an owner for so many seconds. Raises StoreAway."""


class Turns:
    """See the module. `set` says who has turns; `run` claims until cancelled. `draw` makes mail of a campaign."""

    def __init__(self, store: Store, hands: Hands, draw: DrawOf) -> None:
        self._hands, self._draw = hands, draw
        self._rates = Rates(store)
        self._campaigns: list[Campaign] = []
        self._served: dict[str, int] = {}
        self._turn = 0
        self._more = asyncio.Event()
        self._asked = set[str]()
        self._nothing_due = set[str]()
        self._nobody_left = set[str]()
        self._drew_at: dict[str, float] = {}

    @property
    def empty(self) -> set[str]:
        """Those that had nothing due when they were last asked, and nobody left to make mail of."""
        return self._nothing_due & self._nobody_left

    def set(self, campaigns: Iterable[Campaign], *, afresh: bool) -> None:
        """These have turns from now on, by priority; `afresh` lets those be asked again that were empty."""
        self._campaigns = list(campaigns)
        known = {campaign.id for campaign in self._campaigns}
        self._served = {id: turn for id, turn in self._served.items() if id in known}
        now = elapsed_clock()
        self._drew_at = {id: self._drew_at.get(id, now) for id in known}
        self._rates.forget(known)
        still = set[str]() if afresh else known
        self._asked &= still
        self._nothing_due &= still
        self._nobody_left = self._nobody_left & still | {each.id for each in self._campaigns if each.ready}
        self._more.set()

    def filled(self, id: str) -> None:
        """There is new mail of this one, or there are people to make mail of."""
        self._nothing_due.discard(id)
        self._nobody_left.discard(id)
        self._more.set()

    def draws(self, id: str) -> bool:
        """Whether mail of this one is made as it is sent, of late; or may be soon, if it is new here."""
        return elapsed_clock() - self._drew_at.get(id, -LATELY) < LATELY

    async def run(self) -> None:
        """Claims, until cancelled."""
        while True:
            self._more.clear()
            if not self._candidates():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._rates.next_in()):
                        await self._more.wait()
                continue
            room = await self._hands.wait_for_room("bulk", PART)
            candidates = self._candidates()
            limits = self._limits(candidates, room)
            if candidates and not limits:
                await self._hands.change()
            elif candidates:
                await self._take(*self._next(candidates, limits))

    def _candidates(self) -> list[Campaign]:
        """Those of the highest priority that may have something due now."""
        empty = self.empty
        able = [each for each in self._campaigns if each.id not in empty and self._rates.may_start(each.id)]
        return [each for each in able if each.priority == able[0].priority]

    def _limits(self, candidates: Sequence[Campaign], room: int) -> dict[str, int]:
        """How many each may claim; without those that hold their share."""
        if len(candidates) == 1:
            return {candidates[0].id: room}
        held = Counter(attempt.message.campaign for attempt in self._hands.held.values())
        share = max(1, self._hands.capacity("bulk") // len(candidates))
        limits = {each.id: min(room, share - held[each.id]) for each in candidates}
        return {id: limit for id, limit in limits.items() if limit > 0}

    def _next(self, candidates: Sequence[Campaign], limits: dict[str, int]) -> tuple[Campaign, int]:
        longest = min(
            (each for each in candidates if each.id in limits), key=lambda each: self._served.get(each.id, 0)
        )
        self._turn += 1
        self._served[longest.id] = self._turn
        return longest, limits[longest.id]

    async def _take(self, campaign: Campaign, limit: int) -> None:
        try:
            wanted = await self._rates.lease(campaign, limit)
            if not wanted:
                return
            claimed = await self._claim(campaign.id, wanted)
            self._rates.started(campaign, claimed)
            if claimed < wanted:
                self._rates.started(campaign, await self._make(campaign.id, wanted - claimed))
        except StoreAway as error:
            structlog.get_logger("delivery").warning("store away", during="claim", why=str(error))
            await asyncio.sleep(AGAIN)

    async def _claim(self, id: str, wanted: int) -> int:
        """Of what is there already: asked for once in a while as long as there are people to draw, which costs less."""
        if id in self._nothing_due or (id in self._asked and id not in self._nobody_left):
            return 0
        self._asked.add(id)
        leased = await self._hands.claim("bulk", wanted, campaign=id)
        if len(leased) < wanted:
            self._nothing_due.add(id)
        return len(leased)

    async def _make(self, id: str, wanted: int) -> int:
        """Of people for whom there is no mail yet."""
        if id in self._nobody_left:
            return 0
        drawn = await self._hands.draw(partial(self._draw, id), wanted)
        if drawn:
            self._drew_at[id] = elapsed_clock()
        else:
            self._nobody_left.add(id)
        return len(drawn)


class Rates:
    """What campaigns with a rate may start: leased of the store, spread over time here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._granted: dict[str, tuple[int, float]] = {}
        self._not_before: dict[str, float] = {}

    def forget(self, known: set[str]) -> None:
        """Only these are campaigns still."""
        self._granted = {id: left for id, left in self._granted.items() if id in known}
        self._not_before = {id: at for id, at in self._not_before.items() if id in known}

    def may_start(self, id: str) -> bool:
        """Whether it is time for this one."""
        return self._not_before.get(id, 0.0) <= elapsed_clock()

    def next_in(self) -> float | None:
        """Seconds until the first one that waits may start; None where none waits."""
        now = elapsed_clock()
        return min((at - now for at in self._not_before.values() if at > now), default=None)

    async def lease(self, campaign: Campaign, wanted: int) -> int:
        """How many of these may start now; 0 says that `may_start` is to be asked. Raises StoreAway."""
        if campaign.rate is None:
            return wanted
        left, until = self._granted.get(campaign.id, (0, 0.0))
        if left <= 0 or until < elapsed_clock():
            quota, seconds = campaign.rate
            worth = min(wanted, math.ceil(quota / seconds))
            leased = await self._store.lease_rate(f"campaign {campaign.id}", worth, Rate(quota, seconds))
            now, left = elapsed_clock(), leased.granted
            self._not_before[campaign.id] = now + (left * seconds / quota if left else leased.wait)
            self._granted[campaign.id] = (left, now + LEFT)
        return min(wanted, left)

    def started(self, campaign: Campaign, count: int) -> None:
        """So many did; what is left of a lease is for the next turn, if that comes soon."""
        if campaign.rate is not None:
            left, until = self._granted[campaign.id]
            self._granted[campaign.id] = (left - count, until)
