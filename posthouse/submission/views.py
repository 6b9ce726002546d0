"""What records look like outside: the Structs of the answers, which are their schema too (DESIGN §6).

Rules: GET /emails/{id} is a superset of Resend's object; content is shown as it was handed in (a text part that we
derive is not shown); when the content is no longer kept its fields are null, and the addresses come from the record.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from posthouse.mail.address import format_mailbox
from posthouse.mail.lifecycle import OPEN, State, Status
from posthouse.mail.message import Content, HistoryEntry, Lane, Mailbox, Message, Recipient, RecipientKind
from posthouse.store.base import BODY_SHOWN, Listed, Totals
from posthouse.submission.times import show_time

LAST_EVENT: dict[State, str] = {
    "pending": "queued",
    "sending": "queued",
    "deferred": "delivery_delayed",
    "sent": "sent",
    "unknown": "delivery_delayed",
    "delivered": "delivered",
    "bounced": "bounced",
    "complained": "complained",
    "failed": "failed",
    "suppressed": "suppressed",
    "canceled": "canceled",
}
"""Our states in Resend's words (`scheduled` is pending before its time). It has none for unknown."""


class RecipientView(msgspec.Struct, frozen=True):
    """One recipient of a mail, with its own state."""

    email: str
    state: State
    attempts: int
    code: int | None
    enhanced_code: str | None
    error: str | None
    at: str | None


class HistoryView(msgspec.Struct, frozen=True):
    """One thing that happened to a mail."""

    at: str | None
    event: str
    recipient: str | None
    attempt: int | None
    transport: str | None
    code: int | None
    text: str | None


class EmailView(msgspec.Struct, frozen=True, kw_only=True):
    """A mail with everything that is known of it."""

    object: str = "email"
    id: str
    message_id: str
    from_: str | None = msgspec.field(name="from")
    to: list[str]
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    subject: str | None
    html: str | None
    text: str | None
    tags: tuple[str, ...]
    status: Status
    state: State
    last_event: str
    lane: Lane
    error: str | None
    attempts: int
    uncertain: int
    created_at: str | None
    scheduled_at: str | None
    next_attempt_at: str | None
    sent_at: str | None
    delivered_at: str | None
    failed_at: str | None
    recipients: list[RecipientView]
    history: list[HistoryView]


class LogItem(msgspec.Struct, frozen=True, kw_only=True):
    """A mail in a list."""

    id: str
    from_: str | None = msgspec.field(name="from")
    to: str
    subject: str | None
    body: str | None
    body_truncated: bool
    status: Status
    state: State
    error: str | None
    attempts: int
    created_at: str | None
    sent_at: str | None
    failed_at: str | None


class Today(msgspec.Struct, frozen=True):
    """How many mails were created, first became SENT and first became FAILED on a day."""

    date: date
    created: int
    sent: int
    failed: int


class PagePlace(msgspec.Struct, frozen=True):
    """Where a numbered page stands."""

    page: int
    limit: int
    total: int
    total_pages: int


class CursorPlace(msgspec.Struct, frozen=True):
    """Where a page by cursor stands; next_cursor is null on the last one."""

    limit: int
    next_cursor: str | None


class CountedCursorPlace(msgspec.Struct, frozen=True):
    """The same of a list without filters, with the number of all records."""

    limit: int
    next_cursor: str | None
    total: int


class LogsView(msgspec.Struct, frozen=True):
    """A page of the log."""

    items: list[LogItem]
    pagination: PagePlace | CursorPlace | CountedCursorPlace
    today: Today


def show_email(message: Message, content: Content | None, now: int) -> EmailView:
    """The record for GET /emails/{id}; `now` in microseconds."""
    state = message.state
    scheduled = state == "pending" and (message.scheduled_at or 0) > now
    return EmailView(
        id=message.id,
        message_id=message.message_id,
        from_=format_mailbox(content.sender) if content else None,
        to=_addresses(content and content.to, message, "to"),
        cc=_addresses(content and content.cc, message, "cc"),
        bcc=_addresses(content and content.bcc, message, "bcc"),
        reply_to=[format_mailbox(box) for box in content.reply_to] if content else [],
        subject=content.subject if content else None,
        html=content.html if content else None,
        text=content.text if content else None,
        tags=message.tags,
        status=message.status,
        state=state,
        last_event="scheduled" if scheduled else LAST_EVENT[state],
        lane=message.lane,
        error=message.error,
        attempts=message.attempts,
        uncertain=message.uncertain,
        created_at=show_time(message.created_at),
        scheduled_at=show_time(message.scheduled_at),
        next_attempt_at=show_time(message.due_at) if state in OPEN and message.owner is None else None,
        sent_at=show_time(message.sent_at),
        delivered_at=show_time(message.delivered_at),
        failed_at=show_time(message.failed_at),
        recipients=[_recipient(recipient) for recipient in message.recipients],
        history=[_history(entry) for entry in message.history],
    )


def show_item(listed: Listed) -> LogItem:
    """The record for GET /email/logs. The body is the html where there is one, else the text."""
    message, content = listed.message, listed.content
    body = None if content is None else content.text if content.html is None else content.html
    to = [box.email for box in content.to] if content else _emails(message, "to")
    return LogItem(
        id=message.id,
        from_=format_mailbox(content.sender) if content else None,
        to=", ".join(to),
        subject=content.subject if content else None,
        body=body and body[:BODY_SHOWN],
        body_truncated=listed.truncated and body is not None and len(body) >= BODY_SHOWN,
        status=message.status,
        state=message.state,
        error=message.error,
        attempts=message.attempts,
        created_at=show_time(message.created_at),
        sent_at=show_time(message.sent_at),
        failed_at=show_time(message.failed_at),
    )


def show_today(day: date, totals: Totals) -> Today:
    """The figures of a day."""
    return Today(day, totals.created, totals.sent, totals.failed)


def _addresses(boxes: Sequence[Mailbox] | None, message: Message, kind: RecipientKind) -> list[str]:
    return _emails(message, kind) if boxes is None else [format_mailbox(box) for box in boxes]


def _emails(message: Message, kind: RecipientKind) -> list[str]:
    return [recipient.email for recipient in message.recipients if recipient.kind == kind]


def _recipient(recipient: Recipient) -> RecipientView:
    return RecipientView(
        recipient.email,
        recipient.state,
        recipient.attempts,
        recipient.code,
        recipient.enhanced_code,
        recipient.error,
        show_time(recipient.at),
    )


def _history(entry: HistoryEntry) -> HistoryView:
    return HistoryView(
        show_time(entry.at),
        entry.event,
        entry.recipient,
        entry.attempt,
        entry.transport,
        entry.code,
        entry.text,
    )
