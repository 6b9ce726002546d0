"""The table that the matrix prints, in Markdown."""

from collections.abc import Sequence

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
POLICIES = {"resend": "sent again", "hold": "held"}


def words(cell: Cell) -> tuple[str, ...]:
    """The columns that say which cell it is."""
    return str(cell.deployment), cell.part, cell.how, cell.moment, POLICIES[cell.policy]


def row(cell: Cell, books: Books) -> str:
    """One line; what is wrong stands below it."""
    numbers = (books.accepted, books.lost, books.doubled, books.unknown, f"{books.seconds:.1f}")
    line = f"| {' | '.join(map(str, (*words(cell), *numbers)))} |"
    return "\n".join([line, *(f"  WRONG: {each}" for each in books.wrong[:10])])


def summary(found: Sequence[Books]) -> str:
    """The last line."""
    broken = sum(bool(books.wrong) for books in found)
    accepted, lost, doubled, unknown = (
        sum(getattr(books, name) for books in found) for name in ("accepted", "lost", "doubled", "unknown")
    )
    longest = max((books.seconds for books in found), default=0.0)
    verdict = "The promise held." if not broken else f"The promise did NOT hold in {broken} cells."
    return (
        f"{len(found)} cells: {accepted} accepted, {lost} lost, {doubled} doubled, each of which says so,"
        f" {unknown} unknown; healed in {longest:.1f} s at most. {verdict}"
    )
