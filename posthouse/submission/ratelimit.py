"""How many requests a key may make: a sliding window per key, in memory, for this process.

The window slides over two counters: the last full window counts by the share of it that is still in sight. So no
span as long as the window holds much more than the quota, and a request costs about two microseconds (the library
`limits` was measured at 16 to 31, since it counts behind locks and a timer thread made for many processes).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from posthouse.submission.answers import Header
from posthouse.submission.problems import Problem


class Rate(NamedTuple):
    """`quota` requests in `window` seconds."""

    quota: int
    window: int


class Taken(NamedTuple):
    """What a request got: the headers to answer with, and how long to wait (seconds) where it was refused."""

    headers: list[Header]
    wait: int


class RateLimiter:
    """`clock` gives seconds that never go back."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._quota, self._window = rate
        self._clock = clock
        self._windows: dict[str, tuple[float, int, int]] = {}
        self._policy = (b"ratelimit-policy", b'"default";q=%d;w=%d' % rate)

    def take(self, name: str) -> Taken:
        """Counts a request of `name`; one that is refused is not counted."""
        now = self._clock()
        start, before, count = self._current(name, now)
        used = before * (1 - (now - start) / self._window) + count
        allowed = used + 1 <= self._quota
        left = max(0, int(self._quota - used) - 1) if allowed else 0
        wait = 0 if allowed else math.ceil(self._wait(now - start, before, count))
        self._windows[name] = (start, before, count + allowed)
        reset = wait or math.ceil(start + self._window - now)
        return Taken([self._policy, (b"ratelimit", b'"default";r=%d;t=%d' % (left, reset))], wait)

    def _current(self, name: str, now: float) -> tuple[float, int, int]:
        """The window `now` lies in: its start, the count of the window before, its own count."""
        start, before, count = self._windows.get(name, (now, 0, 0))
        passed = int((now - start) // self._window)
        if passed == 0:
            return start, before, count
        return start + passed * self._window, count if passed == 1 else 0, 0

    def _wait(self, elapsed: float, before: int, count: int) -> float:
        """Seconds until one more request fits: in this window, or when this one begins to leave the sight."""
        room = self._quota - 1 - count
        if room >= 0:
            return self._window * (1 - room / before) - elapsed if before else 0.0
        return self._window - elapsed + self._window * (1 - (self._quota - 1) / count)


def exceeded(wait: int) -> Problem:
    """The answer to one request too many."""
    return Problem(
        "quota-exceeded",
        "This API key has used up its requests for now. See Retry-After.",
        headers=[(b"retry-after", b"%d" % max(1, wait))],
        more={"violated-policies": ["default"]},
    )
