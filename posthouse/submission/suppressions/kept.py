"""The handlers of the suppression list and of the trail, and what the reference says of each.

Rules: every change is in the trail, with who did it. Files go in and out as they are read, a slice at a time; a line that is
wrong is named, and the others are taken.
"""

from codecs import getincrementaldecoder
from collections.abc import AsyncGenerator, Callable
from typing import Annotated

import msgspec

from posthouse.csv_file import BadFile
from posthouse.mail.address import CONTROL, normalise, parse_mailbox
from posthouse.mail.errors import BadAddress
from posthouse.mail.suppression import REACHES, REASONS, SLICE, Reach, Reason, Suppression
from posthouse.store.catalog import Catalog
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.contacts.kept import EMAIL
from posthouse.submission.contacts.views import WrongLineView
from posthouse.submission.endpoint import Call, Handler, Upload
from posthouse.submission.logs import MAX_FILTER, read_arguments
from posthouse.submission.paging import CURSOR, LIST_LIMIT, page_of, read_numbered_place
from posthouse.submission.problems import Finding, Problem, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.submission.shape import read
from posthouse.submission.suppressions.request import (
    EXAMPLES,
    ONE_OR_MANY,
    AddedView,
    ImportedView,
    SuppressionsRequest,
    SuppressionsView,
    TrailView,
    entries_of,
    show_act,
    show_entry,
)
from posthouse.suppressed import SuppressionList
from posthouse.suppression_file import COLUMNS, TOLD, SuppressionFile, write_entries, write_head

SHOWN = 100
"""Lines of a file that are wrong and shown; all are counted."""

_FILTER = Annotated[str, msgspec.Meta(max_length=MAX_FILTER)]
_UTF8 = getincrementaldecoder("utf-8")

WHO = Parameter("email", _FILTER, "Only this address, in whatever case.")
WHY = Parameter("reason", Reason, "Only those for this reason.")
LIST = Doc(
    operation="listSuppressions",
    group="Suppressions",
    summary="List who is not to be mailed",
    text="Newest first; without what has ended.",
    parameters=(LIST_LIMIT, CURSOR, WHO, WHY),
    replies=(Reply(status=200, text="A page.", types=(SuppressionsView,)),),
    problems=("validation",),
)
ADD = Doc(
    operation="addSuppressions",
    group="Suppressions",
    summary="Put somebody on the list",
    text="One address, or many. It holds within a second, also for mail that waits. What is there is never weakened.",
    replies=(Reply(status=200, text="They are on it.", types=(AddedView,)),),
    problems=("validation",),
    rules=ONE_OR_MANY,
    examples=EXAMPLES,
)
REMOVE = Doc(
    operation="removeSuppression",
    group="Suppressions",
    summary="Take somebody off the list",
    text="Mail that is sent from now on goes to the address; what was held back stays so.",
    parameters=(
        EMAIL,
        Parameter("lane", Reach, "Only the entry for this lane; all of them if it is left out."),
    ),
    replies=(Reply(status=204, text="It is off the list."),),
    problems=("validation",),
)
EXPORT = Doc(
    operation="exportSuppressions",
    group="Suppressions",
    summary="Fetch the list as a file",
    text=f"CSV (RFC 4180), as it is read: {', '.join((*COLUMNS, *TOLD))}. It can be imported again.",
    parameters=(WHO, WHY),
    replies=(Reply(status=200, text="The file.", media="text/csv", headers=("Content-Disposition",)),),
    problems=("validation",),
)
IMPORT = Doc(
    operation="importSuppressions",
    group="Suppressions",
    summary="Put those in a file on the list",
    text="""\
CSV (RFC 4180) in UTF-8, read and written as it comes: a column email, and perhaps lane, reason, note and expires_at; others \
are passed over. A line that is wrong is named, and the others are taken. A reason in words of another program becomes the \
note.""",
    parameters=(
        Parameter("lane", Reach, "For lines that say none; default both."),
        Parameter("reason", Reason, "For lines that say none; default imported."),
    ),
    replies=(Reply(status=200, text="What became of it.", types=(ImportedView,)),),
)
FILE = Upload(
    media=("text/csv",),
    schema={"type": "string", "description": "The file.", "pattern": "^\ufeff?[^\n]*[Ee][Mm][Aa][Ii][Ll]"},
    example="email,lane,reason\nann@example.com,bulk,unsubscribed\n",
    streamed=True,
)
TRAIL = Doc(
    operation="listTrail",
    group="Trail",
    summary="List who did what",
    text="Newest first: of campaigns, templates, the suppression list, and mail that was settled by the list.",
    parameters=(
        LIST_LIMIT,
        CURSOR,
        Parameter(
            "about",
            _FILTER,
            "Only about one thing: its kind and its name.",
            example="suppression:ann@example.com",
        ),
    ),
    replies=(Reply(status=200, text="A page.", types=(TrailView,)),),
    problems=("validation",),
)


def list_entries(catalog: Catalog) -> Handler:
    """The handler of GET /api/emails/suppressions."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        limit, cursor = read_numbered_place(arguments)
        email, reason = _filters(arguments)
        found = await in_time(catalog.suppressions(limit + 1, cursor, email=email, reason=reason))
        page, place = page_of(found, limit, lambda each: each.id)
        return json_answer(200, SuppressionsView([show_entry(each) for each in page], place))

    return handle


def add(suppressed: SuppressionList, now: Callable[[], int]) -> Handler:
    """The handler of POST /api/emails/suppressions."""
    decoder = msgspec.json.Decoder(SuppressionsRequest)

    async def handle(call: Call) -> Answer:
        request, findings = read(call.body, decoder)
        entries, more = entries_of(request, now())
        if findings or more:
            known = {finding.pointer for finding in findings}
            raise invalid([*findings, *(each for each in more if each.pointer not in known)])
        added = await in_time(suppressed.add(entries, call.key.by))
        return json_answer(200, AddedView(added, len(entries) - added))

    return handle


def remove(catalog: Catalog) -> Handler:
    """The handler of DELETE /api/emails/suppressions/{email}."""

    async def handle(call: Call) -> Answer:
        lane = _lane(read_arguments(call.query))
        try:
            email = normalise(call.path["email"])
        except BadAddress:
            raise _missing() from None
        if not await in_time(catalog.unsuppress([email], call.key.by, lane)):
            raise _missing()
        return Answer(204, [])

    return handle


def export(catalog: Catalog) -> Handler:
    """The handler of GET /api/emails/suppressions.csv."""

    async def handle(call: Call) -> Answer:
        email, reason = _filters(read_arguments(call.query))
        headers = [
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"content-disposition", b'attachment; filename="suppressions.csv"'),
        ]
        return Answer(200, headers, stream=_lines(catalog, email, reason))

    return handle


def import_file(suppressed: SuppressionList, now: Callable[[], int]) -> Handler:
    """The handler of POST /api/emails/suppressions.csv."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        lane, reason = _lane(arguments) or "both", _reason(arguments) or "imported"
        taken = _Taken(suppressed, SuppressionFile(lane, reason, now()), call.key.by)
        decoder = _UTF8(errors="surrogateescape")
        try:
            async for chunk in call.chunks or ():
                await taken.take(decoder.decode(chunk))
            await taken.take(decoder.decode(b"", final=True), last=True)
        except BadFile as error:
            raise invalid([Finding("", str(error))]) from None
        return json_answer(200, taken.view)

    return handle


def list_acts(catalog: Catalog) -> Handler:
    """The handler of GET /api/emails/trail."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        limit, cursor = read_numbered_place(arguments)
        about = arguments.get("about") or None
        if about is not None and (len(about) > MAX_FILTER or CONTROL.search(about)):
            text = f"must have 1 to {MAX_FILTER} characters, none of them control"
            raise invalid([Finding("/about", text)])
        found = await in_time(catalog.acts(limit + 1, cursor, about))
        page, place = page_of(found, limit, lambda each: each.id)
        return json_answer(200, TrailView([show_act(each) for each in page], place))

    return handle


class _Taken:
    """What became of a file so far."""

    def __init__(self, suppressed: SuppressionList, file: SuppressionFile, by: str) -> None:
        self._suppressed, self._file, self._by = suppressed, file, by
        self._entries: list[Suppression] = []
        self._good = self._added = self._wrong = 0
        self._errors: list[WrongLineView] = []

    async def take(self, text: str, *, last: bool = False) -> None:
        """Takes a piece; raises BadFile."""
        for line in self._file.take(text, last=last):
            if line.entry is not None:
                self._entries.append(line.entry)
            else:
                self._wrong += 1
                told = [WrongLineView(line.number, flaw.field, flaw.text) for flaw in line.flaws]
                self._errors += told[: SHOWN - len(self._errors)]
            if len(self._entries) == SLICE:
                await self._write()
        if last:
            await self._write()

    async def _write(self) -> None:
        entries, self._entries = self._entries, []
        if entries:
            self._good += len(entries)
            self._added += await in_time(self._suppressed.add(entries, self._by))

    @property
    def view(self) -> ImportedView:
        """All of it."""
        return ImportedView(self._added, self._good - self._added, self._wrong, self._errors)


async def _lines(catalog: Catalog, email: str | None, reason: Reason | None) -> AsyncGenerator[bytes]:
    yield write_head().encode()
    cursor: int | None = None
    while found := await in_time(catalog.suppressions(SLICE, cursor, email=email, reason=reason)):
        yield write_entries(found).encode()
        cursor = found[-1].id


def _filters(arguments: dict[str, str]) -> tuple[str | None, Reason | None]:
    email, reason = arguments.get("email") or None, _reason(arguments)
    if email is not None:
        try:
            email = parse_mailbox(email).email
        except BadAddress as error:
            raise invalid([Finding("/email", error.text)]) from None
    return email, reason


def _reason(arguments: dict[str, str]) -> Reason | None:
    reason = arguments.get("reason") or None
    if reason is not None and reason not in REASONS:
        raise invalid([Finding("/reason", f"must be one of {', '.join(REASONS)}")])
    return reason


def _lane(arguments: dict[str, str]) -> Reach | None:
    lane = arguments.get("lane") or None
    if lane is not None and lane not in REACHES:
        raise invalid([Finding("/lane", f"must be one of {', '.join(REACHES)}")])
    return lane


def _missing() -> Problem:
    return Problem("not-found", "There is no such entry on the suppression list.")
