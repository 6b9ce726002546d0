"""Sums by name in a room that does not grow with the names: two sides that should be equal are added to it and taken away.

Each name has a cell, which it may share, and a weight of its own there; so a cell is 0 again only if each of its names is
(but for one chance in 2^60). Which names of a cell that is not 0 are to blame, a second look at these cells' names tells.
"""

from collections.abc import Hashable, Iterable

CELLS = 1 << 16


class Ledger:
    """See the module."""

    def __init__(self) -> None:
        self._cells = [0] * CELLS
        self._added = 0

    def add(self, names: Iterable[tuple[Hashable, int]], sign: int = 1) -> None:
        """Adds so much to each name, or takes it away."""
        for name, n in names:
            hashed = hash(name)
            self._cells[hashed % CELLS] += sign * n * hash((hashed, "weight", name))
            self._added += 1

    @property
    def names_a_cell(self) -> int:
        """About how many names share a cell, at most."""
        return self._added // CELLS + 1

    def unequal(self) -> frozenset[int]:
        """The cells of names that are not 0."""
        return frozenset(cell for cell, sum in enumerate(self._cells) if sum)


def cell(name: Hashable) -> int:
    """The cell of a name, in this process."""
    return hash(name) % CELLS
