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


def row(cell: Cell, books: Books) -> str:
    """One line; what is wrong stands below it."""
    words = (cell.deployment, cell.part, cell.how, cell.moment, POLICIES[cell.policy])
    numbers = (books.accepted, books.lost, books.doubled, books.unknown, f"{books.seconds:.1f}")
    line = f"| {' | '.join(map(str, (*words, *numbers)))} |"
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


POLICIES = {"resend": "sent again", "hold": "held"}
