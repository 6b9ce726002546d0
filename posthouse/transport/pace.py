"""The rate of a transport: starts evenly spaced in one process, and leased in slices where several share it.

Waiting for a start spends nothing. Pure but for the lease: the time comes in as an argument.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from posthouse.mail.errors import StoreAway
from posthouse.rate import Leased, Rate

SLACK = 0.05
"""Seconds by which starts may catch up, so that a coarse timer does not lower the rate."""
SLICES = 4
"""A process leases this part of what a window holds at once."""
ASK_AGAIN = 0.02
"""Seconds after which a start is asked for again while a lease is on its way."""
STORE_AGAIN = 1.0
"""Seconds after which a store that was away is asked again."""

_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|second|m|minute|h|hour|d|day)")
_PER = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

Lease = Callable[[int, Rate], Awaitable[Leased]]
"""Asks for so many starts of a rate, for this transport."""


class Pacer(Protocol):
    """Grants starts of transactions."""

    def start(self, now: float) -> float:
        """Asks for a start: 0 when it is granted, else the seconds to wait before asking again."""
        ...


class Pace:
    """One process: `rate` starts a second, evenly spaced."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate
        self._due = 0.0

    def start(self, now: float) -> float:
        if self._due > now:
            return self._due - now
        self._due = max(self._due, now - SLACK) + self._gap
        return 0.0


class SharedPace:
    """Many processes: `rate` starts a second of them all. While the store is away nothing starts."""

    def __init__(self, rate: float, lease: Lease) -> None:
        self._even = Pace(rate)
        window = max(1, math.ceil(1 / rate))
        self._rate = Rate(max(1, round(rate * window)), window)
        self._lease = lease
        self._granted = 0
        self._not_before = 0.0
        self._asking: asyncio.Task[None] | None = None

    def start(self, now: float) -> float:
        if self._granted:
            wait = self._even.start(now)
            self._granted -= wait == 0
            return wait
        if now < self._not_before:
            return self._not_before - now
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask(now))
        return ASK_AGAIN

    async def _ask(self, now: float) -> None:
        try:
            wanted = max(1, self._rate.quota // SLICES)
            self._granted = (await self._lease(wanted, self._rate)).granted
            if self._granted < wanted:
                self._not_before = now + self._rate.window / SLICES
        except StoreAway as error:
            structlog.get_logger("delivery").warning("store away", during="throttle", why=str(error))
            self._not_before = now + STORE_AGAIN
        finally:
            self._asking = None


def read_rate(said: str) -> float:
    """Starts a second, of a rate as URLs write it."""
    match = _RATE.fullmatch(said)
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"rate={said!r} is not a rate like 100/s, 600/m or 5000/h")
    return float(match[1]) / _PER[match[2][0]]


Pacing = Callable[[float, str], Pacer]
"""The pacer for a rate (starts a second) of the transport of that name."""


def alone(rate: float, name: str) -> Pacer:
    """Where no other process shares it."""
    return Pace(rate)
