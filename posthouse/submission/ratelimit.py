"""How many requests a caller may make: a sliding window (posthouse.rate) per key or token subject.

For one process it is counted in memory: about two microseconds a request (the library `limits` was measured at 16 to
31, since it counts behind locks and a timer thread made for many processes). Where several processes share a store, each
leases slices of the window from it: as few as one a second, the more the busier the caller.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from posthouse.rate import Leased, Rate, Window, take
from posthouse.submission.answers import Header
from posthouse.submission.problems import Problem

__all__ = ["Limiter", "Rate", "RateLimiter", "SharedLimiter", "Taken", "exceeded"]

MOST = 50_000
"""Callers that are counted; beyond, the one who has been silent longest is forgotten. About 15 MB when full."""
SLICE_SECONDS = 1.0
"""Seconds that a slice may be used; what is left of it then is lost. A caller that is told to wait is not asked for
again in this time either."""
SLICES = 20
"""A slice is at most this part of the quota."""


class Taken(NamedTuple):
    """What a request got: the headers to answer with, and how long to wait (seconds) where it was refused."""

    headers: list[Header]
    wait: int


class Limiter(Protocol):
    """Counts requests."""

    def take(self, name: str) -> Taken | Awaitable[Taken]:
        """Counts a request of `name`; one that is refused is not counted. Awaited, it may raise StoreAway."""
        ...


class RateLimiter:
    """For one process. `clock` gives seconds that never go back."""

    def __init__(self, rate: Rate, clock: Callable[[], float], most: int = MOST) -> None:
        self._rate, self._clock, self._most = rate, clock, most
        self._windows: OrderedDict[str, Window] = OrderedDict()
        self._policy = _policy(rate)

    def take(self, name: str) -> Taken:
        self._windows[name], leased = take(self._windows.get(name), self._rate, 1, self._clock())
        _bound(self._windows, name, self._most)
        return _taken(self._policy, leased)


class Slice:
    """What one caller may still use here: `count` until `ends`; `size` is how much was leased at once. `refused` is the
    store's last word where it granted nothing."""

    __slots__ = ("asked", "count", "ends", "left", "refused", "reset", "size")

    def __init__(self) -> None:
        self.count = self.left = 0
        self.size = 1
        self.ends = self.reset = 0.0
        self.refused: Leased | None = None
        self.asked: asyncio.Future[None] | None = None


class SharedLimiter:
    """For many processes: `lease(name, wanted)` asks the store. `clock` gives seconds that never go back."""

    def __init__(
        self,
        rate: Rate,
        lease: Callable[[str, int], Awaitable[Leased]],
        clock: Callable[[], float],
        most: int = MOST,
    ) -> None:
        self._rate, self._lease, self._clock, self._most = rate, lease, clock, most
        self._slices: OrderedDict[str, Slice] = OrderedDict()
        self._policy = _policy(rate)

    def take(self, name: str) -> Taken | Awaitable[Taken]:
        part = self._slices.get(name)
        if part is None:
            part = self._slices[name] = Slice()
        _bound(self._slices, name, self._most)
        return self._take_here(part) or self._take_there(name, part)

    def _take_here(self, part: Slice) -> Taken | None:
        now = self._clock()
        if now >= part.ends:
            return None
        if part.refused is not None:
            return _taken(self._policy, part.refused)
        if not part.count:
            return None
        part.count -= 1
        return _taken(self._policy, Leased(1, part.left + part.count, part.reset - now))

    async def _take_there(self, name: str, part: Slice) -> Taken:
        """Requests of one caller that come together share one question."""
        while True:
            if part.asked is None:
                part.asked = asyncio.ensure_future(self._ask(name, part))
            await asyncio.shield(part.asked)
            taken = self._take_here(part)
            if taken is not None:
                return taken

    async def _ask(self, name: str, part: Slice) -> None:
        """A slice used up within its time was too small; one that was not, too large."""
        try:
            busy = self._clock() < part.ends
            part.size = max(1, min(part.size * 2 if busy else part.size // 2, self._rate.quota // SLICES))
            leased = await self._lease(name, part.size)
            now = self._clock()
            part.refused = None if leased.granted else leased
            part.count, part.left, part.reset = leased.granted, leased.left, now + leased.wait
            part.ends = now + (
                SLICE_SECONDS if leased.granted else min(SLICE_SECONDS, max(leased.wait, 0.01))
            )
        finally:
            part.asked = None


def _bound(kept: "OrderedDict[str, Window] | OrderedDict[str, Slice]", name: str, most: int) -> None:
    kept.move_to_end(name)
    if len(kept) > most:
        kept.popitem(last=False)


def _policy(rate: Rate) -> Header:
    return (b"ratelimit-policy", b'"default";q=%d;w=%d' % rate)


def _taken(policy: Header, leased: Leased) -> Taken:
    reset = max(0, math.ceil(leased.wait))
    header = (b"ratelimit", b'"default";r=%d;t=%d' % (leased.left if leased.granted else 0, reset))
    return Taken([policy, header], 0 if leased.granted else max(1, reset))


def exceeded(wait: int) -> Problem:
    """The answer to one request too many."""
    return Problem(
        "quota-exceeded",
        "This caller has used up its requests for now. See Retry-After.",
        headers=[(b"retry-after", b"%d" % max(1, wait))],
        more={"violated-policies": ["default"]},
    )
