"""GET /email/logs: the list of mails in its two forms, by page (oldest first) and by cursor (newest first).

Rules (DESIGN §6): `page`, present with any value, chooses the form. What places the caller in the list is sanitised;
what chooses records is refused when it is wrong, since a silently dropped filter shows what nobody asked for.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import cast
from urllib.parse import parse_qsl, urlencode

from posthouse.mail.address import CONTROL, parse_mailbox
from posthouse.mail.errors import BadAddress
from posthouse.mail.lifecycle import Status
from posthouse.store.base import Page, Query, Store, UnknownCursor
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, Header, json_answer
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.problems import Finding, Problem, invalid
from posthouse.submission.times import day_of, microseconds, read_zone, start_of
from posthouse.submission.views import (
    CountedCursorPlace,
    CursorPlace,
    LogsView,
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

_NUMBER = re.compile("[+-]?[0-9]{1,20}")
_CURSOR = re.compile("[!-~]{1,255}")
_LOST_PLUS = re.compile(r"(T\S*) (\d\d:?\d\d)$")

Arguments = Mapping[str, str]


def list_emails(store: Store, now: Callable[[], int]) -> Handler:
    """The handler of GET /email/logs."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        query, zone = read_query(arguments)
        try:
            page = await in_time(store.page(query))
        except UnknownCursor:
            raise _bad_cursor() from None
        view = LogsView([show_item(item) for item in page.items], _place(query, page), await today(zone))
        return json_answer(200, view, _links(arguments, query, page))

    async def today(zone: tzinfo) -> Today:
        day, since, until = day_of(now(), zone)
        return show_today(day, await in_time(store.totals(since, until)))

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
    limit = _number(arguments.get("limit"), LIMIT, MAX_LIMIT)
    if "page" in arguments:
        findings += [
            Finding(f"/{name}", "page cannot be filtered: use the cursor form") for name in _given(arguments)
        ]
        query = Query(limit=limit, page=_number(arguments["page"], 1, MAX_PAGE))
    else:
        query = _filtered(arguments, limit, zone or UTC, findings)
    if findings:
        raise invalid(findings)
    return query, zone or UTC


def _filtered(arguments: Arguments, limit: int, zone: tzinfo, findings: list[Finding]) -> Query:
    cursor = arguments.get("cursor") or None
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise _bad_cursor()
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


def _number(text: str | None, default: int, most: int) -> int:
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


def _bad_cursor() -> Problem:
    return invalid([Finding("/cursor", "must be the next_cursor of an earlier answer")])


def _place(query: Query, page: Page) -> PagePlace | CursorPlace | CountedCursorPlace:
    if query.page is not None:
        total = page.total or 0
        return PagePlace(query.page, query.limit, total, -(-total // query.limit))
    if page.total is None:
        return CursorPlace(query.limit, page.next_cursor)
    return CountedCursorPlace(query.limit, page.next_cursor, page.total)


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
