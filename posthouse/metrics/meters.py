"""What is counted as mail moves: plain numbers, added to by the event loop alone, read when Prometheus asks (scrape).

A histogram of prometheus-client takes a lock and walks its buckets at each value: ten times the price of these.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from posthouse.mail.message import LANES
from posthouse.metrics.families import CALLS, FAMILIES

Labels = tuple[str, ...]

_KNOWN: dict[Labels, Sequence[Labels]] = {
    (): [()],
    ("lane",): [(lane,) for lane in LANES],
    ("call",): [(call,) for call in CALLS],
}
"""Label values known from the start: these begin at 0, so that the first event is an increase."""


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Spread:
    """How values lie between upper bounds (inclusive), and their sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Takes one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """How many values were at most each bound, the last being +Inf."""
        bounds = [*map(str, self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))


class Meters:
    """The counters and histograms of this process, under their family's name and the values of its labels."""

    def __init__(self) -> None:
        self._families = {family.name: family for family in FAMILIES if family.kind != "gauge"}
        self._counts: dict[str, dict[Labels, Count]] = {name: {} for name in self._families}
        self._spreads: dict[str, dict[Labels, Spread]] = {name: {} for name in self._families}
        for name, kind, labels, *_ in self._families.values():
            make = self.counter if kind == "counter" else self.spread
            for values in _KNOWN.get(labels, ()):
                make(name, *values)

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Adds to a counter."""
        self.counter(name, *labels).value += by

    def counter(self, name: str, *labels: str) -> Count:
        """The counter of these labels; who comes often keeps it."""
        found = self._counts[name].get(labels)
        if found is None:
            found = self._counts[name][labels] = Count()
        return found

    def spread(self, name: str, *labels: str) -> Spread:
        """The histogram of these labels; who comes often keeps it."""
        found = self._spreads[name].get(labels)
        if found is None:
            found = self._spreads[name][labels] = Spread(self._families[name].buckets)
        return found

    def counts(self, name: str) -> dict[Labels, float]:
        """What a counter is at, by its labels. Safe on another thread."""
        return {labels: count.value for labels, count in list(self._counts.get(name, {}).items())}

    def spreads(self, name: str) -> list[tuple[Labels, Spread]]:
        """All histograms of a family. Safe on another thread."""
        return list(self._spreads[name].items())
