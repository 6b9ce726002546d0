"""contacts import, list, show, export, remove, roles: who may be written to.

A file is read a piece at a time, and some hundred entries are written at once, so its size does not matter.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO
from urllib.parse import quote, urlencode

from cyclopts import App, Parameter

from posthouse import terminal
from posthouse.cli.run import Key, Url, ask, opened_desk, opened_text, patiently, run
from posthouse.config import BadSettings, Settings

ALL = "/api/emails/contacts"
PIECE = 1 << 16
"""Characters of a file that are read at once."""
CHUNK = 500
"""Entries of one request."""
SHOWN = 100
"""Lines that are wrong and shown; all are counted."""

contacts = App(name="contacts", help="Contacts: who may be written to, and in which roles.")


@contacts.command(name="import")
def import_file(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    *,
    how: Literal["update", "add-roles", "replace"] = "update",
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    url: Url = None,
    key: Key = None,
) -> int:
    """Read contacts from a CSV file; - is standard input. The first line names the columns: email, name, roles (with ;
    between them), consent_when, consent_how, attributes (JSON); any other is an attribute. 1 when a line is wrong; the
    others are taken.

    Parameters
    ----------
    how: what a line does to a contact that is there: update it, the same but add its roles, or replace it
    dry_run: change nothing, only tell what would become of it
    """

    async def work(settings: Settings) -> int:
        from posthouse.csv_file import BadFile

        told = Told(dry_run)
        try:
            with opened_text(file) as text, terminal.counting(_size(file)) as shown:
                async with opened_desk(settings, url, key) as desk:
                    return await _import(desk, _lines(text, shown), how, told)
        except BadFile as error:
            raise BadSettings([f"{file}: {error}"]) from None

    return run(work)


@contacts.command(name="list")
def list_contacts(
    *,
    role: Annotated[list[str] | None, Parameter(negative="")] = None,
    limit: int = 20,
    cursor: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """List contacts by address: all, or those with any of some roles."""
    return ask("GET", f"{ALL}?{_query(role, limit=limit, cursor=cursor)}", terminal.contacts, url, key)


@contacts.command
def roles(*, limit: int = 100, cursor: str | None = None, url: Url = None, key: Key = None) -> int:
    """List the roles that somebody has, and how many have each."""
    return ask("GET", f"{ALL}/roles?{_query(None, limit=limit, cursor=cursor)}", terminal.roles, url, key)


@contacts.command
def show(email: str, *, url: Url = None, key: Key = None) -> int:
    """Show one contact."""
    return ask("GET", f"{ALL}/{quote(email, safe='')}", terminal.show, url, key)


@contacts.command
def remove(email: str, *, url: Url = None, key: Key = None) -> int:
    """Forget a contact."""
    path = f"{ALL}/{quote(email, safe='')}"
    return ask("DELETE", path, lambda _: terminal.say("It is forgotten."), url, key)


@contacts.command
def export(
    *,
    role: Annotated[list[str] | None, Parameter(negative="")] = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Write contacts as CSV, as `contacts import` reads it: all, or those with any of some roles."""

    async def work(settings: Settings) -> int:
        from posthouse.contact_file import write_head

        sys.stdout.write(write_head())
        cursor: str | None = None
        async with opened_desk(settings, url, key) as desk:
            while True:
                reply = await patiently(desk, "GET", f"{ALL}?{_query(role, limit=100, cursor=cursor)}")
                if reply.status >= 400:
                    return terminal.refuse(reply.body)
                _write(reply.body["items"])
                cursor = reply.body["pagination"]["nextCursor"]
                if cursor is None:
                    return 0

    return run(work)


class Told:
    """What became of a file: counts, and what is wrong with which lines."""

    def __init__(self, dry_run: bool) -> None:
        self.counts = {"created": 0, "updated": 0, "unchanged": 0, "wrong": 0}
        self.errors: list[dict[str, Any]] = []
        self.dry_run = dry_run

    def wrong(self, line: int, flaws: Sequence[tuple[str, str]]) -> None:
        """A line that was not taken."""
        self.counts["wrong"] += 1
        for column, text in flaws:
            if len(self.errors) < SHOWN:
                self.errors.append({"line": line, "column": column, "error": text})

    @property
    def json(self) -> dict[str, Any]:
        """All of it."""
        return {**self.counts, "dryRun": self.dry_run, "errors": self.errors}


async def _import(desk: Any, lines: Iterator[Any], how: str, told: Told) -> int:
    while chunk := list(islice(lines, CHUNK)):
        good = [(each.number, each.entry) for each in chunk if each.entry is not None]
        for each in chunk:
            if each.entry is None:
                told.wrong(each.number, [(flaw.field, flaw.text) for flaw in each.flaws])
        if good:
            entries = [_contact(entry) for _, entry in good]
            request = {"contacts": entries, "how": how, "dryRun": told.dry_run}
            reply = await patiently(desk, "POST", ALL, request)
            if reply.status >= 400:
                terminal.imported(told.json)
                return terminal.refuse(reply.body)
            _count(told, [number for number, _ in good], reply.body["items"])
    terminal.imported(told.json)
    return int(told.counts["wrong"] > 0)


def _lines(text: TextIO, shown: Callable[[int], None]) -> Iterator[Any]:
    """The lines of a file; `shown` is told how many octets of it were read."""
    from posthouse.contact_file import ContactFile

    file, octets = ContactFile(), 0
    while piece := text.read(PIECE):
        octets += len(piece.encode(errors="surrogateescape"))
        yield from file.take(piece)
        shown(octets)
    yield from file.take("", last=True)


def _count(told: Told, numbers: Sequence[int], items: Sequence[dict[str, Any]]) -> None:
    for number, each in zip(numbers, items, strict=True):
        if each["result"] == "wrong":
            told.wrong(number, [(e["pointer"].rpartition("/")[2], e["detail"]) for e in each["errors"]])
        else:
            told.counts[each["result"]] += 1


def _contact(entry: Any) -> dict[str, Any]:
    """An entry as the API takes it."""
    said = {
        "email": entry.email,
        "name": entry.name,
        "roles": None if entry.roles is None else list(entry.roles),
        "attributes": entry.attributes,
        "consentWhen": entry.consent_when,
        "consentHow": entry.consent_how,
    }
    return {name: value for name, value in said.items() if value is not None}


def _write(items: Sequence[dict[str, Any]]) -> None:
    from posthouse.contact_file import write_contacts
    from posthouse.mail.contact import Contact

    made = [
        Contact(
            email=each["email"],
            name=each["name"],
            roles=tuple(each["roles"]),
            attributes=each["attributes"],
            consent_when=each["consentWhen"],
            consent_how=each["consentHow"],
        )
        for each in items
    ]
    sys.stdout.write(write_contacts(made))


def _size(file: Path) -> int | None:
    """Its octets, where that is known."""
    return file.stat().st_size if file.is_file() else None


def _query(role: Sequence[str] | None, **asked: Any) -> str:
    given = {name: value for name, value in asked.items() if value is not None}
    return urlencode({**given, **({"role": ",".join(role)} if role else {})})
