"""One mail as an example, shown by the code that shows real ones."""

from datetime import UTC

from posthouse.mail.message import SECOND, Content, HistoryEntry, Mailbox, Message, Recipient
from posthouse.store.base import Listed, Totals
from posthouse.submission.times import day_of
from posthouse.submission.views import (
    CursorPlace,
    EmailView,
    LogsByCursor,
    show_email,
    show_item,
    show_today,
)

ID = "019a0b9e-5c00-7000-8000-5d3a1c9be001"
AT = 1_792_000_000 * SECOND
"""Microseconds: in October 2026."""

_CONTENT = Content(
    sender=Mailbox("post@example.com", "Post House"),
    to=(Mailbox("ann@example.com", "Ann"),),
    subject="Fresh horses",
    html="<p>They are <b>ready</b>.</p>",
)


def accepted_email() -> EmailView:
    """The mail just after it was accepted."""
    return show_email(_message(Recipient("ann@example.com"), due_at=AT), _CONTENT, AT)


def sent_email() -> EmailView:
    """The mail once a mail server took it."""
    return show_email(sent(), _CONTENT, AT)


def logs_by_cursor() -> LogsByCursor:
    """A list with the mail in it."""
    day, _, _ = day_of(AT, UTC)
    items = [show_item(Listed(sent(), _CONTENT, truncated=False))]
    return LogsByCursor(items, CursorPlace(20, None, 1), show_today(day, Totals(1, 1, 0)))


def sent() -> Message:
    """The record of the mail once a mail server took it."""
    reply = "250 2.0.0 OK"
    ann = Recipient(
        "ann@example.com", state="sent", attempts=1, code=250, enhanced_code="2.0.0", at=AT + SECOND
    )
    took = HistoryEntry(
        AT + SECOND, "sent", recipient=ann.email, attempt=1, transport="smtp", code=250, text=reply
    )
    return _message(ann, took, sent_at=AT + SECOND)


def _message(
    recipient: Recipient, *events: HistoryEntry, due_at: int | None = None, sent_at: int | None = None
) -> Message:
    return Message(
        id=ID,
        message_id=f"<{ID}@example.com>",
        tags=("welcome",),
        created_at=AT,
        recipients=[recipient],
        history=[HistoryEntry(AT, "accepted"), *events],
        due_at=due_at,
        sent_at=sent_at,
    )
