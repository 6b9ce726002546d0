"""Contacts in a file: CSV (RFC 4180) in UTF-8, with a line of column names first, read and written line by line.

Rules: `email` must be there; `name`, `roles` (with ; between them), `consent_when`, `consent_how` and `attributes` (a JSON
object) may be; any other column is an attribute of that name. An empty cell says nothing. A line that is wrong is named by
its number and its column, and never repeated; the others are good. What is written can be read again.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from posthouse.mail.contact import BadEntry, Contact, Entry, Flaw, checked

COLUMNS = ("email", "name", "roles", "consent_when", "consent_how", "attributes")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula, at the beginning of a cell: behind an apostrophe it is text."""

_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])


class BadFile(Exception):
    """A file that cannot be read at all; the text says why."""


class Line(NamedTuple):
    """A line of the file, by its number: an entry that can be kept, or what is wrong with it."""

    number: int
    entry: Entry | None
    flaws: Sequence[Flaw] = ()


def read_contacts(lines: Iterable[str]) -> Iterator[Line]:
    """The entries of a file, in order. Raises BadFile. Octets that were no UTF-8 are to come as lone surrogates."""
    rows = csv.reader(lines, strict=True)
    columns = _columns(next(rows, None))
    while True:
        before = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error:
            yield Line(
                before, None, [Flaw("", "it is no CSV: a quote is not closed, or stands where none may")]
            )
            continue
        if row is None:
            return
        if any(row):
            yield _line(before, columns, row)


def write_head() -> str:
    """The first line."""
    return _csv([COLUMNS])


def write_contacts(contacts: Iterable[Contact]) -> str:
    """A line for each."""
    return _csv([_row(each) for each in contacts])


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _columns(row: list[str] | None) -> list[str]:
    if not row:
        raise BadFile("it is empty: the first line names the columns, and email must be among them")
    names = [cell.removeprefix("\ufeff").strip() for cell in row]
    known = {each: each for each in COLUMNS}
    columns = [known.get(name.lower(), name) for name in names]
    if "email" not in columns:
        raise BadFile("its first line names no column email")
    if len(set(columns)) < len(columns) or not all(columns):
        raise BadFile("its first line has a name twice, or none")
    return columns


def _line(number: int, columns: Sequence[str], row: Sequence[str]) -> Line:
    if len(row) > len(columns):
        return Line(
            number, None, [Flaw("", f"it has {len(row)} cells, and there are {len(columns)} columns")]
        )
    cells = {name: _text(cell) for name, cell in zip(columns, row, strict=False)}
    if not all(_is_unicode(cell) for cell in cells.values()):
        return Line(number, None, [Flaw("", "it is not UTF-8")])
    try:
        return Line(number, checked(_entry(cells)))
    except BadEntry as error:
        return Line(number, None, error.flaws)


def _entry(cells: dict[str, str]) -> Entry:
    attributes: dict[str, Any] = {name: cell for name, cell in cells.items() if cell and name not in COLUMNS}
    if given := cells.get("attributes"):
        try:
            attributes = _ATTRIBUTES.decode(given) | attributes
        except (msgspec.DecodeError, RecursionError):
            raise BadEntry([Flaw("attributes", "it is no JSON object")]) from None
    roles = [role for each in cells.get("roles", "").split(";") if (role := each.strip())]
    return Entry(
        email=cells["email"].strip(),
        name=cells.get("name") or None,
        roles=tuple(roles) or None,
        attributes=attributes or None,
        consent_when=cells.get("consent_when") or None,
        consent_how=cells.get("consent_how") or None,
    )


def _text(cell: str) -> str:
    """What stands in it, without the apostrophe that made it harmless."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _row(contact: Contact) -> list[str]:
    attributes = msgspec.json.encode(contact.attributes).decode() if contact.attributes else ""
    texts = contact.email, contact.name, ";".join(contact.roles), contact.consent_when, contact.consent_how
    return [*map(harmless, texts), attributes]


def _csv(rows: Iterable[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()
