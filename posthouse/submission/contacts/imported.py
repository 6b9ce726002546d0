"""POST /api/emails/contacts/import: contacts from a CSV file, which is read as it comes.

Rules: memory does not grow with the file, and nobody waits behind it. A slice is written before more is read, so whoever
sends it sees how far it is by what is left to send. A line that is wrong is named, and the others are taken.
"""

import asyncio
from codecs import getincrementaldecoder
from collections.abc import Iterator
from itertools import islice
from typing import cast, get_args

from posthouse.contact_file import COLUMNS, ContactFile, Line
from posthouse.csv_file import BadFile
from posthouse.mail.contact import Entry, How
from posthouse.store.catalog.contacts import Contacts
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.contacts.views import ContactsImportedView, WrongLineView
from posthouse.submission.endpoint import Call, Handler, Upload
from posthouse.submission.logs import read_arguments
from posthouse.submission.problems import Finding, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply

SLICE = 500
"""Entries that are written at once."""
TURN = 100
"""Lines after which others have their turn: some 2 ms."""
SHOWN = 100
"""What is wrong and shown; all such lines are counted."""
HOW: tuple[How, ...] = get_args(How)

_UTF8 = getincrementaldecoder("utf-8")

FILE = Upload(
    media=("text/csv",),
    schema={"type": "string", "description": "The file.", "pattern": "^\ufeff?[^\n]*[Ee][Mm][Aa][Ii][Ll]"},
    example="email,name,roles,horse\nann@example.com,Ann,rider;coach,Arion\n",
    streamed=True,
)
IMPORT = Doc(
    operation="importContacts",
    group="Contacts",
    summary="Write those in a file",
    text=f"""\
CSV (RFC 4180) in UTF-8, read and written as it comes: what could be sent is written, but for the last {SLICE} lines. The first \
line names the columns: `email`, and any of {", ".join(f"`{each}`" for each in COLUMNS[1:])}; others are attributes. Roles have \
`;` between them, `attributes` is a JSON object, an empty cell says nothing. A line that is wrong is named, and the others are \
taken. Harmless twice.""",
    parameters=(
        Parameter("how", How, "What a line does to a contact that is there, as in `writeContacts`."),
        Parameter("dryRun", bool, "Only tell what would become of each."),
    ),
    replies=(Reply(status=200, text="What became of it.", types=(ContactsImportedView,)),),
    problems=("validation",),
)


def import_contacts(contacts: Contacts) -> Handler:
    """The handler."""

    async def handle(call: Call) -> Answer:
        how, dry_run = _read(read_arguments(call.query))
        taken, file, decoder = _Taken(contacts, how, dry_run), ContactFile(), _UTF8(errors="surrogateescape")
        try:
            async for chunk in call.chunks or ():
                await taken.take(file.take(decoder.decode(chunk)))
            await taken.take(file.take(decoder.decode(b"", final=True), last=True))
        except BadFile as error:
            raise invalid([Finding("", str(error))]) from None
        await taken.write()
        return json_answer(200, taken.view)

    return handle


class _Taken:
    """What became of a file so far."""

    def __init__(self, contacts: Contacts, how: How, dry_run: bool) -> None:
        self._contacts, self._dry_run = contacts, dry_run
        self._how: How = how
        self._entries: list[Entry] = []
        self._counts = {"created": 0, "updated": 0, "unchanged": 0, "wrong": 0}
        self._errors: list[WrongLineView] = []

    async def take(self, lines: Iterator[Line]) -> None:
        """Takes some; raises BadFile."""
        while some := list(islice(lines, TURN)):
            for each in some:
                self._note(each)
            if len(self._entries) >= SLICE:
                await self.write()
            await asyncio.sleep(0)

    async def write(self) -> None:
        """Writes what was taken."""
        entries, self._entries = self._entries, []
        if entries:
            for told in await in_time(
                self._contacts.write_contacts(entries, self._how, dry_run=self._dry_run)
            ):
                self._counts[told] += 1

    @property
    def view(self) -> ContactsImportedView:
        """All of it."""
        return ContactsImportedView(**self._counts, dry_run=self._dry_run, errors=self._errors)

    def _note(self, line: Line) -> None:
        if line.entry is not None:
            self._entries.append(line.entry)
            return
        self._counts["wrong"] += 1
        told = [WrongLineView(line.number, flaw.field, flaw.text) for flaw in line.flaws]
        self._errors += told[: SHOWN - len(self._errors)]


def _read(arguments: dict[str, str]) -> tuple[How, bool]:
    how, dry_run = arguments.get("how", "update"), arguments.get("dryRun", "false").lower()
    findings: list[Finding] = []
    if how not in HOW:
        findings.append(Finding("/how", f"must be one of {', '.join(HOW)}"))
    if dry_run not in ("true", "false"):
        findings.append(Finding("/dryRun", "must be true or false"))
    if findings:
        raise invalid(findings)
    return cast(How, how), dry_run == "true"
