"""What a benchmark says: figures, each beside its floor and a limit that was taken in the same run.

A ratio is always "how near the limit", and above 1 is better than it. Figures are medians of the rounds.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """`floor` is what the issue asks for: at least, or (where `less` is better) less than. `limit` is what the same
    machine gave in the same run without the part that is measured, and `limit_name` says without which."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    limit: float | None = None
    limit_name: str = ""
    less: bool = False

    @property
    def good(self) -> bool:
        """Whether it meets its floor; true without one."""
        if self.floor is None:
            return True
        return self.value < self.floor if self.less else self.value >= self.floor


def median(values: Sequence[float]) -> float:
    """The median of the rounds."""
    return statistics.median(values)


def header() -> str:
    """The first line of the table."""
    return _line("what", "figure", "", "floor", "limit", "ratio", "")


def row(figure: Figure) -> str:
    """A line of the table; one below its floor is marked."""
    floor = limit = ratio = ""
    if figure.floor is not None:
        floor = f"{'<' if figure.less else '≥'} {_number(figure.floor)}" + ("" if figure.good else " !")
    if figure.limit:
        nearness = figure.limit / figure.value if figure.less else figure.value / figure.limit
        limit, ratio = _number(figure.limit), f"{nearness:.2f}"
    return _line(figure.name, _number(figure.value), figure.unit, floor, limit, ratio, figure.limit_name)


def _line(name: str, value: str, unit: str, floor: str, limit: str, ratio: str, limit_name: str) -> str:
    line = f"{name:<46}{value:>9} {unit:<8}{floor:>12}{limit:>10}{ratio:>7}  {limit_name}"
    return line.rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
