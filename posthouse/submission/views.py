"""What records look like outside: the Structs of the answers, which are their schema too (DESIGN §6).

Rules: GET /emails/{id} is a superset of Resend's object; content is shown as it was handed in (a text part that we
derive is not shown); when the content is no longer kept its fields are null, and the addresses come from the record.
"""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from posthouse.mail.address import format_mailbox
from posthouse.mail.lifecycle import OPEN, State, Status
from posthouse.mail.message import Content, HistoryEntry, Lane, Mailbox, Message, Recipient, RecipientKind
from posthouse.mail.template import is_rendered
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


Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A moment as show_time writes it."""


def _says(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class RecipientView(msgspec.Struct, frozen=True):
    """One recipient of a mail, with its own state."""

    email: str
    state: State
    attempts: Annotated[int, _says("How often it was tried.")]
    code: Annotated[int | None, _says("The last SMTP reply to it.")]
    enhanced_code: Annotated[str | None, _says("Its enhanced code (RFC 3463), such as 5.1.1.")]
    error: Annotated[str | None, _says("Why it is not simply sent.")]
    at: Annotated[Time | None, _says("When it came into this state.")]


class HistoryView(msgspec.Struct, frozen=True):
    """One thing that happened: to the mail, or to one of its recipients."""

    at: Time | None
    event: str
    recipient: str | None
    attempt: int | None
    transport: str | None
    code: int | None
    text: str | None


class EmailView(msgspec.Struct, frozen=True, kw_only=True):
    """A mail with everything that is known of it. What it says is null once its content is no longer kept."""

    object: Literal["email"]
    id: str
    message_id: Annotated[str, _says("The Message-ID that it has for ever, in every try.")]
    from_: str | None = msgspec.field(name="from")
    to: list[str]
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    subject: str | None
    html: str | None
    text: Annotated[str | None, _says("As handed in; a text that was made from the html is not shown.")]
    template: Annotated[
        str | None, _says("What subject, html and text are made of; they are null until the first attempt.")
    ]
    variables: Annotated[dict[str, Any] | None, _says("What the template was given.")]
    tags: tuple[str, ...]
    status: Annotated[Status, _says("Whether it is done, in one of three words.")]
    state: Annotated[State, _says("The same in full: what its recipients' states come to.")]
    last_event: Annotated[str, _says("The state in Resend's words.")]
    lane: Lane
    error: Annotated[str | None, _says("Why it is not simply sent.")]
    attempts: Annotated[int, _says("How often it was tried: the most of any recipient.")]
    uncertain: Annotated[
        int, _says("How many tries ended without anybody knowing how; 0 for nearly all mail.")
    ]
    created_at: Time | None
    scheduled_at: Time | None
    next_attempt_at: Annotated[
        Time | None, _says("When it is tried next; null while it is, and when it is done.")
    ]
    sent_at: Annotated[Time | None, _says("When it first became SENT.")]
    delivered_at: Time | None
    failed_at: Annotated[Time | None, _says("When it first became FAILED.")]
    recipients: list[RecipientView]
    history: list[HistoryView]


class LogItem(msgspec.Struct, frozen=True, kw_only=True):
    """A mail in a list."""

    id: str
    from_: str | None = msgspec.field(name="from")
    to: Annotated[str, _says("Its addresses, with a comma and a space between them.")]
    subject: str | None
    body: Annotated[str | None, _says(f"Its html, else its text: the first {BODY_SHOWN} characters.")]
    body_truncated: Annotated[bool, _says("Whether there is more of it.")]
    status: Status
    state: State
    error: str | None
    attempts: int
    created_at: Time | None
    sent_at: Time | None
    failed_at: Time | None


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
    """Where a page by cursor stands."""

    limit: int
    next_cursor: Annotated[str | None, _says("Names the next page; null on the last one.")]
    total: Annotated[int | msgspec.UnsetType, _says("The number of all records; absent beside a filter.")] = (
        msgspec.UNSET
    )


class LogsByPage(msgspec.Struct, frozen=True):
    """A numbered page of the log, oldest first."""

    items: list[LogItem]
    pagination: PagePlace
    today: Today


class LogsByCursor(msgspec.Struct, frozen=True):
    """A page of the log by cursor, newest first."""

    items: list[LogItem]
    pagination: CursorPlace
    today: Today


def show_email(message: Message, content: Content | None, now: int) -> EmailView:
    """The record for GET /emails/{id}; `now` in microseconds."""
    state = message.state
    scheduled = state == "pending" and (message.scheduled_at or 0) > now
    return EmailView(
        object="email",
        id=message.id,
        message_id=message.message_id,
        from_=format_mailbox(content.sender) if content else None,
        to=_addresses(content and content.to, message, "to"),
        cc=_addresses(content and content.cc, message, "cc"),
        bcc=_addresses(content and content.bcc, message, "bcc"),
        reply_to=[format_mailbox(box) for box in content.reply_to] if content else [],
        subject=_subject(content),
        html=content.html if content else None,
        text=content.text if content else None,
        template=content.template if content else None,
        variables=content.variables if content and content.template else None,
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
        subject=_subject(content),
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


def _subject(content: Content | None) -> str | None:
    """None, too, while the template has not given it."""
    return None if content is None or not (content.subject or is_rendered(content)) else content.subject


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
