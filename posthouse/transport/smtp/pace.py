"""The rate of one process to one relay: transactions start evenly spaced. Pure: the time comes in as an argument."""

SLACK = 0.05
"""Seconds by which starts may catch up, so that a coarse timer does not lower the rate."""


class Pace:
    """A token bucket of `rate` starts a second; None for no limit."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._due = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed; 0 for now."""
        return max(0.0, self._due - now) if self._gap else 0.0

    def start(self, now: float) -> None:
        """One starts now."""
        if self._gap:
            self._due = max(self._due, now - SLACK) + self._gap
