"""The store's clock. Elasticsearch makes no times for its callers, so each process takes its own clock, moved by how far
that is from the clock of the elected master, which all processes ask. What that answer's way leaves uncertain is not moved.
"""

import time


class Clock:
    """Microseconds since 1970; each that `tick` gives is later than the ones before."""

    def __init__(self) -> None:
        self._offset = 0
        self._last = 0

    def now(self) -> int:
        """The time."""
        return own() + self._offset

    def tick(self) -> int:
        """A time that was not given before."""
        self._last = max(self.now(), self._last + 1)
        return self._last

    def set(self, asked: int, told_ms: int, heard: int) -> None:
        """By this process's own clock we asked and heard (microseconds); the master's was `told_ms` (milliseconds, cut
        off) in between."""
        told = told_ms * 1000
        if asked <= told + 999 and told <= heard:
            self._offset = 0
        else:
            self._offset = told + 500 - (asked + heard) // 2


def own() -> int:
    """This process's own clock, in microseconds."""
    return time.time_ns() // 1000
