"""Contacts in a file (csv_file), read and written piece by piece.

Rules: `email` must be there; `name`, `roles` (with ; between them), `consent_when`, `consent_how` and `attributes` (a JSON
object) may be; any other column is an attribute of that name. An empty cell says nothing. A line that is wrong is named by
its number and its column, and never repeated; the others are good. What is written can be read again.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from posthouse.csv_file import Feed, column_names, csv_text, harmless
from posthouse.mail.contact import BadEntry, Contact, Entry, Flaw, checked

COLUMNS = ("email", "name", "roles", "consent_when", "consent_how", "attributes")
_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])


class Line(NamedTuple):
    """A line of the file, by its number: an entry that can be kept, or what is wrong with it."""

    number: int
    entry: Entry | None
    flaws: Sequence[Flaw] = ()


class ContactFile:
    """Reads a file piece by piece."""

    def __init__(self) -> None:
        self._feed = Feed(lambda row: column_names(row, COLUMNS, "email"))

    def take(self, text: str, *, last: bool = False) -> Iterator[Line]:
        """The lines that are whole now; with the last piece all of them. Raises csv_file.BadFile. Octets that were no UTF-8
        are to come as lone surrogates."""
        for number, cells, fault in self._feed.take(text, last=last):
            if cells is None:
                yield Line(number, None, [Flaw("", fault)])
                continue
            try:
                yield Line(number, checked(_entry(cells)))
            except BadEntry as error:
                yield Line(number, None, error.flaws)


def write_head() -> str:
    """The first line."""
    return csv_text([COLUMNS])


def write_contacts(contacts: Iterable[Contact]) -> str:
    """A line for each."""
    return csv_text([_row(each) for each in contacts])


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
