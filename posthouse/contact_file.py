"""Contacts in a file: CSV (RFC 4180) in UTF-8, with a line of column names first, read and written line by line.

Rules: `email` must be there; `name`, `roles` (with ; between them), `consent_when`, `consent_how` and `attributes` (a JSON
object) may be; any other column is an attribute of that name. An empty cell says nothing. A line that is wrong is named by
its number and its column, and never repeated; the others are good. What is written can be read again.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from posthouse.csv_file import NO_CSV, NO_UTF8, column_names, csv_text, harmless, is_unicode, plain
from posthouse.mail.contact import BadEntry, Contact, Entry, Flaw, checked

COLUMNS = ("email", "name", "roles", "consent_when", "consent_how", "attributes")
_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])


class Line(NamedTuple):
    """A line of the file, by its number: an entry that can be kept, or what is wrong with it."""

    number: int
    entry: Entry | None
    flaws: Sequence[Flaw] = ()


def read_contacts(lines: Iterable[str]) -> Iterator[Line]:
    """The entries of a file, in order. Raises BadFile. Octets that were no UTF-8 are to come as lone surrogates."""
    rows = csv.reader(lines, strict=True)
    columns = column_names(next(rows, None), COLUMNS, "email")
    while True:
        before = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error:
            yield Line(before, None, [Flaw("", NO_CSV)])
            continue
        if row is None:
            return
        if any(row):
            yield _line(before, columns, row)


def write_head() -> str:
    """The first line."""
    return csv_text([COLUMNS])


def write_contacts(contacts: Iterable[Contact]) -> str:
    """A line for each."""
    return csv_text([_row(each) for each in contacts])


def _line(number: int, columns: Sequence[str], row: Sequence[str]) -> Line:
    if len(row) > len(columns):
        return Line(
            number, None, [Flaw("", f"it has {len(row)} cells, and there are {len(columns)} columns")]
        )
    cells = {name: plain(cell) for name, cell in zip(columns, row, strict=False)}
    if not all(is_unicode(cell) for cell in cells.values()):
        return Line(number, None, [Flaw("", NO_UTF8)])
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


def _row(contact: Contact) -> list[str]:
    attributes = msgspec.json.encode(contact.attributes).decode() if contact.attributes else ""
    texts = contact.email, contact.name, ";".join(contact.roles), contact.consent_when, contact.consent_how
    return [*map(harmless, texts), attributes]
