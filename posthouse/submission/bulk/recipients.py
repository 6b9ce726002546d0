"""GET /api/emails/jobs/{jobId}/recipients, and all of them as a file: who gets a campaign, and what became of each."""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from posthouse.csv_file import csv_text, harmless
from posthouse.mail.address import parse_mailbox
from posthouse.mail.errors import BadAddress
from posthouse.mail.lifecycle import STATES, State, Status
from posthouse.store.base import Listed, Query, Reads, UnknownCursor
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.bulk.jobs import JOB_ID, Jobs
from posthouse.submission.bulk.views import JobRecipientsView, PlaceView, show_recipient
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.logs import BAD_CURSOR, MAX_FILTER, read_arguments
from posthouse.submission.paging import CURSOR, LIST_LIMIT, read_place
from posthouse.submission.problems import Finding, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply

SLICE = 500
"""Recipients that a file is read by."""
COLUMNS = ("id", "email", "status", "state", "attempts", "code", "category", "error", "sentAt")

FILTERS = (
    Parameter("status", Status, "Only those of this status."),
    Parameter("state", State, "Only those in this state."),
    Parameter("recipient", Annotated[str, Meta(min_length=1, max_length=MAX_FILTER)], "Only this address."),
)
LIST_RECIPIENTS = Doc(
    operation="listJobRecipients",
    group="Bulk",
    summary="List the recipients of a campaign",
    text="Newest first. Each is a mail of its own: `getEmail` tells more of it.",
    parameters=(JOB_ID, LIST_LIMIT, CURSOR, *FILTERS),
    replies=(Reply(status=200, text="A page.", types=(JobRecipientsView,)),),
    problems=("no-campaigns", "validation"),
)
EXPORT = Doc(
    operation="exportJobRecipients",
    group="Bulk",
    summary="Fetch all recipients of a campaign as a file",
    text=f"CSV (RFC 4180), a line each, as it is read: {', '.join(COLUMNS)}.",
    parameters=(JOB_ID, *FILTERS),
    replies=(Reply(status=200, text="The file.", media="text/csv", headers=("Content-Disposition",)),),
    problems=("no-campaigns", "validation"),
)


def list_recipients(jobs: Jobs, reads: Reads) -> Handler:
    """The handler of the list."""

    async def handle(call: Call) -> Answer:
        campaign, _ = await jobs.find(call)
        arguments = read_arguments(call.query)
        limit, cursor = read_place(arguments)
        try:
            page = await in_time(reads.page(_query(campaign.id, arguments, limit, cursor)))
        except UnknownCursor:
            raise invalid([BAD_CURSOR]) from None
        items = [show_recipient(each.message) for each in page.items]
        return json_answer(200, JobRecipientsView(items, PlaceView(limit, page.next_cursor)))

    return handle


def export_recipients(jobs: Jobs, reads: Reads) -> Handler:
    """The handler of the file."""

    async def handle(call: Call) -> Answer:
        campaign, _ = await jobs.find(call)
        query = _query(campaign.id, read_arguments(call.query), SLICE, None)
        name = f'attachment; filename="{campaign.id}.csv"'.encode()
        headers = [(b"content-type", b"text/csv; charset=utf-8"), (b"content-disposition", name)]
        return Answer(200, headers, stream=_lines(reads, query))

    return handle


def _query(campaign: str, arguments: dict[str, str], limit: int, cursor: str | None) -> Query:
    findings: list[Finding] = []
    status, state = arguments.get("status"), arguments.get("state")
    if status is not None and status.upper() not in ("PENDING", "SENT", "FAILED"):
        findings.append(Finding("/status", "must be PENDING, SENT or FAILED"))
    if state is not None and state not in STATES:
        findings.append(Finding("/state", f"must be one of {', '.join(STATES)}"))
    recipient = arguments.get("recipient") or None
    if recipient is not None:
        try:
            recipient = parse_mailbox(recipient).email
        except BadAddress as error:
            findings.append(Finding("/recipient", error.text))
    if findings:
        raise invalid(findings)
    return Query(
        limit=limit,
        cursor=cursor,
        campaign=campaign,
        status=cast("Status | None", status and status.upper()),
        state=cast("State | None", state),
        recipient=recipient,
    )


async def _lines(reads: Reads, query: Query) -> AsyncGenerator[bytes]:
    yield csv_text([COLUMNS]).encode()
    while True:
        page = await in_time(reads.page(query))
        if page.items:
            yield csv_text([_line(each) for each in page.items]).encode()
        if page.next_cursor is None:
            return
        query = msgspec.structs.replace(query, cursor=page.next_cursor)


def _line(listed: Listed) -> Sequence[object]:
    view = show_recipient(listed.message)
    return (
        view.id,
        view.email,
        view.status,
        view.state,
        view.attempts,
        view.code,
        view.category,
        harmless(view.error or ""),
        view.sent_at,
    )
