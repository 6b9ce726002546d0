"""A rate that holds across processes: a sliding window over two counters, as a pure function that stores apply.

The window slides over two counters: the last full window counts by the share of it that is still in sight. So no span
as long as the window holds much more than the quota. Times are seconds of one clock, whichever its owner has.
"""

import math
import re
from typing import NamedTuple

PATTERN = r"([1-9][0-9]{0,8})\s*/\s*(s|second|m|minute|h|hour|d|day)"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Rate(NamedTuple):
    """`quota` starts in `window` seconds."""

    quota: int
    window: int


class Window(NamedTuple):
    """What has been counted: when the window began, how much the one `before` held, how much this one does `now`."""

    start: float
    before: int = 0
    now: int = 0


class Leased(NamedTuple):
    """What was granted of what was wanted; how much is left; seconds until the window ends, or, where nothing was
    granted (`granted` 0), until one more fits."""

    granted: int
    left: int
    wait: float


def read_rate(text: str) -> Rate:
    """`600/minute`; raises ValueError."""
    match = re.fullmatch(PATTERN, text.lower())
    if not match:
        raise ValueError("is not a rate such as 600/minute")
    return Rate(int(match[1]), _SECONDS[match[2][0]])


def take(window: Window | None, rate: Rate, wanted: int, now: float) -> tuple[Window, Leased]:
    """Counts up to `wanted` at `now`; what is refused is not counted."""
    start, before, count = _current(window or Window(now), rate, now)
    used = before * (1 - (now - start) / rate.window) + count
    room = max(0, math.floor(rate.quota - used + 1e-9))
    granted = min(wanted, room)
    wait = start + rate.window - now if granted else _wait(now - start, before, count, rate)
    return Window(start, before, count + granted), Leased(granted, room - granted, wait)


def _current(window: Window, rate: Rate, now: float) -> Window:
    passed = int((now - window.start) // rate.window)
    if passed <= 0:  # a clock that was set back changes nothing
        return window
    return Window(window.start + passed * rate.window, window.now if passed == 1 else 0)


def _wait(elapsed: float, before: int, count: int, rate: Rate) -> float:
    """Seconds until one more fits: in this window, or when this one begins to leave the sight."""
    room = rate.quota - 1 - count
    if room >= 0:
        return rate.window * (1 - room / before) - elapsed if before else 0.0
    return rate.window - elapsed + rate.window * (1 - (rate.quota - 1) / count)
