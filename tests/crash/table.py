"""The table that the matrix prints, in Markdown, and its place in a page."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.crash.cell import Cell
from tests.crash.run import Books

COLUMNS = (
    "",
    "part",
    "what befalls it",
    "when",
    "unknown is",
    "accepted",
    "lost",
    "doubled",
    "unknown",
    "heals in s",
)
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
START = "<!-- written by make crash: start -->\n"
END = "<!-- written by make crash: end -->\n"
POLICIES = {"resend": "sent again", "hold": "held"}


def words(cell: Cell) -> list[str]:
    """The columns that say which cell it is."""
    return [str(cell.deployment), cell.part, cell.how, cell.moment, POLICIES[cell.policy]]


def row(cell: Cell, books: Books) -> str:
    """One line; what is wrong stands below it."""
    numbers = (books.accepted, books.lost, books.doubled, books.unknown, f"{books.seconds:.1f}")
    line = f"| {' | '.join(map(str, (*words(cell), *numbers)))} |"
    return "\n".join([line, *(f"  WRONG: {each}" for each in books.wrong[:10])])


def summary(found: Sequence[Books], seconds: float) -> str:
    """The last lines."""
    broken = sum(bool(books.wrong) for books in found)
    accepted, lost, doubled, unknown = (
        sum(getattr(books, name) for books in found) for name in ("accepted", "lost", "doubled", "unknown")
    )
    longest = max((books.seconds for books in found), default=0.0)
    verdict = "The promise held." if not broken else f"The promise did NOT hold in {broken} cells."
    return (
        f"\n{len(found)} cells in {seconds / 60:.0f} minutes: {accepted} accepted, {lost} lost, {doubled} doubled, each"
        f" of which says so, {unknown} unknown; healed in {longest:.1f} s at most.\n{verdict}"
    )


def surroundings() -> str:
    """When and on what it runs, and how busy others keep that."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": a processor")
    return (
        f"On {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model.partition(': ')[2]}), whose load average"
        f" was {os.getloadavg()[2]:.1f} before it began.\n"
    )


def write(page: Path, text: str) -> None:
    """Puts it where the page has its table."""
    before, rest = page.read_text().split(START)
    _, after = rest.split(END)
    page.write_text(f"{before}{START}\n{text}\n{END}{after}")


def read(page: Path) -> list[list[str]]:
    """The columns of each row that stands there."""
    table = page.read_text().partition(START)[2].partition(END)[0].partition(HEADER)[2]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []
