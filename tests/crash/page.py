"""The page that has the table as evidence: read, and written by a run of the matrix or of some of its cells."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.crash.cell import Cell
from tests.crash.run import Books
from tests.crash.table import HEADER, row, summary, words

START = "<!-- written by make crash: start -->\n"
END = "<!-- written by make crash: end -->\n"
WORDS = 5
"""Columns that say which cell it is; behind them stand accepted, lost, doubled, unknown and the time to heal."""


def surroundings() -> str:
    """When and on what it runs, and how busy others keep that."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": a processor")
    when, load = datetime.now(UTC), os.getloadavg()[2]
    return f"{when:%Y-%m-%d}, {os.cpu_count()} cores ({model.partition(': ')[2]}), load average {load:.1f} when it began"


def write(
    page: Path, matrix: Sequence[Cell], found: Mapping[Cell, Books], where: str, seconds: float
) -> None:
    """Puts what was found in place of what stands there. A run of some cells leaves the others, and says that it was one;
    a cell that did not keep the promise has no row."""
    text = page.read_text()
    old, of_old = read(text), _runs(text)
    known = {cell: found.get(cell) or old.get(words(cell)) for cell in matrix}
    books = {cell: each for cell, each in known.items() if each and not each.wrong}
    new = sum(not each.wrong for each in found.values())
    some = "" if new == len(matrix) else f", {new} of the cells"
    runs = [
        *(of_old if len(found) < len(matrix) else []),
        *([f"- {where}; {seconds / 60:.0f} minutes{some}."] if new else []),
    ]
    table = "\n".join([HEADER, *(row(cell, each) for cell, each in books.items())])
    before, rest = text.split(START)
    _, after = rest.split(END)
    page.write_text(
        "\n".join([f"{before}{START}", *runs, "", summary([*books.values()]), "", table, f"\n{END}{after}"])
    )


def read(text: str) -> dict[tuple[str, ...], Books]:
    """What stands in a page of this text, by the words of the cell."""
    lines = [line for line in _written(text).partition(HEADER)[2].splitlines() if line.startswith("| ")]
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
    return {tuple(row[:WORDS]): Books(*map(int, row[WORDS:-1]), seconds=float(row[-1])) for row in rows}


def _runs(text: str) -> list[str]:
    return [line for line in _written(text).splitlines() if line.startswith("- ")]


def _written(text: str) -> str:
    return text.partition(START)[2].partition(END)[0]


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []
