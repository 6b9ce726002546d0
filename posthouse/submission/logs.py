"""GET /email/logs: the list of mails in its two forms, by page (oldest first) and by cursor (newest first).

Rules (DESIGN §6): `page`, present with any value, chooses the form. What places the caller in the list is sanitised;
what chooses records is refused when it is wrong, since a silently dropped filter shows what nobody asked for.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, cast
from urllib.parse import parse_qsl, urlencode

from msgspec import UNSET, Meta

from posthouse.mail.address import CONTROL, parse_mailbox
from posthouse.mail.errors import BadAddress
from posthouse.mail.lifecycle import Status
from posthouse.store.base import Page, PageTooFar, Query, Reads, UnknownCursor
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, Header, json_answer
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.problems import Finding, Problem, invalid
from posthouse.submission.reference import examples
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.submission.times import day_of, microseconds, read_zone, start_of
from posthouse.submission.views import (
    CursorPlace,
    LogItem,
    LogsByCursor,
    LogsByPage,
    PagePlace,
    Today,
    show_item,
    show_today,
)

PATH = "/email/logs"
LIMIT = 20
MAX_LIMIT = 100
MAX_PAGE = 1_000_000_000
FILTERS = ("status", "recipient", "campaign", "tag", "from", "to")
MAX_FILTER = 320
"""Characters of a filter's value."""

BAD_CURSOR = Finding("/cursor", "must be the next_cursor of an earlier answer")

_FILTER = Annotated[str, Meta(min_length=1, max_length=MAX_FILTER)]
_MOMENT = Annotated[str, Meta(examples=["2026-01-31", "2026-01-31T12:00:00Z"])]
_NUMBER = re.compile("[+-]?[0-9]{1,20}")
_CURSOR = re.compile("[!-~]{1,255}")
_LOST_PLUS = re.compile(r"(T\S*) (\d\d:?\d\d)$")

Arguments = Mapping[str, str]

LIST = Doc(
    operation="listEmails",
    group="Records",
    summary="List mails",
    text="""\
In two forms. With `page` (any value): numbered pages, oldest first, no filters. Without: newest first, by `cursor`, \
with filters. What places you in the list is put right (a page below 1 is 1, a limit is kept within 1 and 100, what is \
no number is the default); a wrong filter is refused. A page past the end is empty. A search by filters that hardly meet \
may hold fewer records than the limit, or none, and still name the next page: go on until `next_cursor` is null.

`today` counts the mails created, first SENT and first FAILED on this day of the zone `tz`.""",
    parameters=(
        Parameter(
            "limit",
            Annotated[int, Meta(ge=1, le=MAX_LIMIT)],
            f"Records a page; default {LIMIT}.",
            example=LIMIT,
        ),
        Parameter("cursor", str, "The `next_cursor` of the page before."),
        Parameter("page", Annotated[int, Meta(ge=1)], "Chooses the numbered form, and the page."),
        Parameter("status", Status, "Only mail of this status."),
        Parameter("recipient", _FILTER, "Only mail to this address, be it in to, cc or bcc."),
        Parameter("campaign", _FILTER, "Only mail of this campaign."),
        Parameter("tag", _FILTER, "Only mail with this tag."),
        Parameter("from", _MOMENT, "Only mail created at or after this date or time."),
        Parameter("to", _MOMENT, "Only mail created before this time, or on or before this date."),
        Parameter(
            "tz",
            str,
            "The IANA zone of `today` and of dates without one; default UTC.",
            example="Europe/Berlin",
        ),
    ),
    replies=(
        Reply(
            status=200,
            text="A page.",
            types=(LogsByCursor, LogsByPage),
            headers=("Link",),
            example=examples.logs_by_cursor,
        ),
    ),
    problems=("malformed", "validation"),
)


def list_emails(reads: Reads, now: Callable[[], int]) -> Handler:
    """The handler of GET /email/logs."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        query, zone = read_query(arguments)
        day, since, until = day_of(now(), zone)
        try:
            page, totals = await asyncio.gather(
                in_time(reads.page(query)), in_time(reads.totals(since, until))
            )
        except UnknownCursor:
            raise invalid([BAD_CURSOR]) from None
        except PageTooFar as error:
            detail = f"must be within the first {error.rows:,} rows; use the form with cursor for the others"
            raise invalid([Finding("/page", detail)]) from None
        items = [show_item(item) for item in page.items]
        view = _view(items, query, page, show_today(day, totals))
        return json_answer(200, view, _links(arguments, query, page))

    return handle


def read_arguments(query: bytes) -> dict[str, str]:
    """The arguments of a query string; the last of several with one name counts."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise Problem("malformed", "The query string has too many arguments.") from None
    return dict(pairs)


def read_query(arguments: Arguments) -> tuple[Query, tzinfo]:
    """What to list, and the zone whose day `today` is; raises Problem naming every wrong argument."""
    findings: list[Finding] = []
    zone = read_zone(arguments.get("tz", "UTC"))
    if zone is None:
        findings.append(Finding("/tz", "must be the name of an IANA time zone, such as Europe/Berlin"))
    limit = number(arguments.get("limit"), LIMIT, MAX_LIMIT)
    if "page" in arguments:
        findings += [
            Finding(f"/{name}", "page cannot be filtered: use the cursor form") for name in _given(arguments)
        ]
        query = Query(limit=limit, page=number(arguments["page"], 1, MAX_PAGE))
    else:
        query = _filtered(arguments, limit, zone or UTC, findings)
    if findings:
        raise invalid(findings)
    return query, zone or UTC


def _filtered(arguments: Arguments, limit: int, zone: tzinfo, findings: list[Finding]) -> Query:
    cursor = arguments.get("cursor") or None
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        findings.append(BAD_CURSOR)
    for name in _given(arguments):
        if len(arguments[name]) > MAX_FILTER or CONTROL.search(arguments[name]) or not arguments[name]:
            findings.append(
                Finding(f"/{name}", f"must have 1 to {MAX_FILTER} characters, none of them control")
            )
    return Query(
        limit=limit,
        cursor=cursor,
        status=_status(arguments.get("status"), findings),
        recipient=_recipient(arguments.get("recipient"), findings),
        campaign=arguments.get("campaign"),
        tag=arguments.get("tag"),
        since=_moment(arguments, "from", zone, findings),
        until=_moment(arguments, "to", zone, findings),
    )


def _given(arguments: Arguments) -> list[str]:
    return [name for name in FILTERS if name in arguments]


def number(text: str | None, default: int, most: int) -> int:
    """A number from 1 to `most`, clamped; the default for what is not a number."""
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return default
    return min(max(int(text), 1), most)


def _status(text: str | None, findings: list[Finding]) -> Status | None:
    if text is None or text.upper() in ("PENDING", "SENT", "FAILED"):
        return cast("Status | None", text and text.upper())
    findings.append(Finding("/status", "must be PENDING, SENT or FAILED"))
    return None


def _recipient(text: str | None, findings: list[Finding]) -> str | None:
    if not text:
        return None
    try:
        return parse_mailbox(text).email
    except BadAddress as error:
        findings.append(Finding("/recipient", error.text))
        return None


def _moment(arguments: Arguments, name: str, zone: tzinfo, findings: list[Finding]) -> int | None:
    """A time, or a day of `zone`: from its start, or to its end."""
    text = arguments.get(name)
    if not text:
        return None
    try:
        if len(text) == len("2026-01-31"):
            return start_of(date.fromisoformat(text) + timedelta(days=name == "to"), zone)
        moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
        return microseconds(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        detail = "must be a date or an ISO 8601 time, such as 2026-01-31 or 2026-01-31T12:00:00Z"
        findings.append(Finding(f"/{name}", detail))
        return None


def _view(items: list[LogItem], query: Query, page: Page, day: Today) -> LogsByPage | LogsByCursor:
    if query.page is not None:
        total = page.total or 0
        place = PagePlace(query.page, query.limit, total, -(-total // query.limit))
        return LogsByPage(items, place, day)
    total = UNSET if page.total is None else page.total
    return LogsByCursor(items, CursorPlace(query.limit, page.next_cursor, total), day)


def _links(arguments: Arguments, query: Query, page: Page) -> list[Header]:
    """Link headers (RFC 8288): first, prev (pages only) and next."""
    kept = {name: arguments[name] for name in (*FILTERS, "tz") if name in arguments}
    kept["limit"] = str(query.limit)
    if query.page is None:
        links = {"first": kept}
        if page.next_cursor is not None:
            links["next"] = kept | {"cursor": page.next_cursor}
    else:
        last = max(1, -(-(page.total or 0) // query.limit))
        links = {"first": kept | {"page": "1"}}
        if query.page > 1:
            links["prev"] = kept | {"page": str(min(query.page - 1, last))}
        if query.page < last:
            links["next"] = kept | {"page": str(query.page + 1)}
    shown = ", ".join(f'<{PATH}?{urlencode(each)}>; rel="{rel}"' for rel, each in links.items())
    return [(b"link", shown.encode("ascii"))]
