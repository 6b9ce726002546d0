"""The rate of one process to one relay: transactions start evenly spaced. Pure: the time comes in as an argument."""

SLACK = 0.05
"""Seconds by which starts may catch up, so that a coarse timer does not lower the rate."""


class Pace:
    """A token bucket of `rate` starts a second."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate
        self._due = 0.0

    def start(self, now: float) -> float:
        """Asks for a start: 0 when it is granted, else the seconds to wait before asking again."""
        if self._due > now:
            return self._due - now
        self._due = max(self._due, now - SLACK) + self._gap
        return 0.0
