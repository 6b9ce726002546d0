"""Tables as CSV (RFC 4180) in UTF-8: read piece by piece, so that a file of any size takes little memory, and written so
that no spreadsheet takes a cell for a formula.

Rules: the first line names the columns. A line that is wrong is told by its number and never repeated; the others are
good. What is written can be read again.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula, at the beginning of a cell: behind an apostrophe it is text."""
MOST = 1 << 17
"""Characters of a line, more than all that a contact may have: what is longer has a quote that nobody closed."""
NO_CSV = "it is no CSV: a quote is not closed, or stands where none may"
NO_UTF8 = "it is not UTF-8"


class BadFile(Exception):
    """A file that cannot be read at all; the text says why."""


class Row(NamedTuple):
    """A line of a table, by its number: its cells by column, or what is wrong with it."""

    number: int
    cells: dict[str, str] | None
    fault: str = ""


class Feed:
    """Takes a table piece by piece; `columns` makes names of its first line and raises BadFile. Octets that were no UTF-8
    are to come as lone surrogates."""

    def __init__(self, columns: Callable[[list[str] | None], list[str]]) -> None:
        self._columns, self._names = columns, list[str]()
        self._held, self._line = "", 1

    def take(self, text: str, *, last: bool = False) -> Iterator[Row]:
        """The lines that are whole now; with the last piece all of them."""
        self._held += text
        cut = len(self._held) if last else _cut(self._held)
        piece, self._held = self._held[:cut], self._held[cut:]
        yield from self._rows(piece)
        if last and not self._names:
            self._columns(None)

    def _rows(self, piece: str) -> Iterator[Row]:
        rows = csv.reader(io.StringIO(piece, newline=""), strict=True)
        while True:
            number = self._line + rows.line_num
            try:
                row = next(rows, None)
            except csv.Error:
                yield Row(number, None, NO_CSV)
                continue
            if row is None:
                self._line += rows.line_num
                return
            if not self._names:
                self._names = self._columns(row)
            elif any(row):
                yield self._row(number, row)

    def _row(self, number: int, row: list[str]) -> Row:
        names = self._names
        if len(row) > len(names):
            return Row(number, None, f"it has {len(row)} cells, and there are {len(names)} columns")
        cells = {name: plain(cell) for name, cell in zip(names, row, strict=False)}
        return Row(number, cells) if all(map(is_unicode, cells.values())) else Row(number, None, NO_UTF8)


def column_names(row: list[str] | None, known: Sequence[str], needed: str) -> list[str]:
    """The names of a first line: those that are known in any case, others as they are. Raises BadFile."""
    if not row:
        raise BadFile(f"it is empty: the first line names the columns, and {needed} must be among them")
    names = [cell.removeprefix("\ufeff").strip() for cell in row]
    columns = [name.lower() if name.lower() in known else name for name in names]
    if needed not in columns:
        raise BadFile(f"its first line names no column {needed}")
    if len(set(columns)) < len(columns) or not all(columns):
        raise BadFile("its first line has a name twice, or none")
    return columns


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as lines."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; `plain` gives the text again, whatever it was."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def plain(cell: str) -> str:
    """What stands in a cell, without the apostrophe that made it harmless."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell


def is_unicode(text: str) -> bool:
    """Whether it has no lone surrogates."""
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _cut(text: str) -> int:
    """Where its whole lines end: after a line break that is within no quotes."""
    at = cut = 0
    quoted = False
    while (end := text.find("\n", at)) >= 0:
        quoted ^= text.count('"', at, end) % 2 == 1
        at = end + 1
        if not quoted:
            cut = at
    return cut if len(text) - cut <= MOST else len(text)
