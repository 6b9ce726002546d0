"""What goes to a Posthouse and what comes back, with types; and what can go wrong."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

Status = Literal["PENDING", "SENT", "FAILED"]
State = Literal[
    "pending",
    "sending",
    "deferred",
    "sent",
    "unknown",
    "delivered",
    "bounced",
    "complained",
    "failed",
    "suppressed",
    "canceled",
]
OPEN: frozenset[State] = frozenset(("pending", "sending", "deferred"))
"""States in which a mail is still owed work."""


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file; with a `content_id` an inline part of the html. Its type is guessed from the name if left out."""

    filename: str
    content: bytes
    content_type: str | None = None
    content_id: str | None = None


class Mail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mail to at most 50 addresses. It needs a subject and one of body, html, text; or a template.

    Times have a zone. What it may hold is said by the server: see its reference, POST /email/send."""

    to: str | Sequence[str]
    subject: str | None = None
    body: str | None = None
    html: str | None = None
    text: str | None = None
    template: str | None = None
    variables: Mapping[str, Any] | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    cc: str | Sequence[str] | None = None
    bcc: str | Sequence[str] | None = None
    reply_to: str | Sequence[str] | None = None
    headers: Mapping[str, str] | None = None
    attachments: Sequence[Attachment] | None = None
    tags: Sequence[str] | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    lane: Literal["transactional", "bulk"] = "transactional"


class Sent(msgspec.Struct, frozen=True):
    """A mail that was accepted: it is stored for good, and sent in the background."""

    id: str


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """One address of a mail, with its own state."""

    email: str
    state: State
    attempts: int
    code: int | None = None
    enhanced_code: str | None = None
    error: str | None = None
    at: datetime | None = None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    at: datetime | None
    event: str
    recipient: str | None = None
    attempt: int | None = None
    transport: str | None = None
    code: int | None = None
    text: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a mail. What it says is None once the server no longer keeps it."""

    id: str
    message_id: str
    status: Status
    state: State
    error: str | None
    attempts: int
    uncertain: int
    to: list[str]
    subject: str | None
    created_at: datetime
    scheduled_at: datetime | None = None
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    recipients: list[Recipient]
    history: list[HistoryEntry]

    @property
    def is_open(self) -> bool:
        """Whether it is still being worked on; `unknown` is not."""
        return self.state in OPEN


class Fault(msgspec.Struct, frozen=True):
    """A wrong field: where (a JSON Pointer), and what is wrong with it."""

    pointer: str
    detail: str


class Error(Exception):
    """Anything that kept a call from its end. `key` is its Idempotency-Key: calling again with it cannot double a mail."""

    key: str | None = None


class Refused(Error):
    """The server said no, by a problem document (RFC 9457): nothing was sent by this call."""

    def __init__(self, status: int, title: str, detail: str = "", errors: Sequence[Fault] = ()) -> None:
        faults = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in errors)
        super().__init__(": ".join(part for part in (f"{status} {title}", detail, faults) if part))
        self.status, self.title, self.detail, self.errors = status, title, detail, tuple(errors)


class Unreached(Error):
    """No answer that says yes or no came while patience lasted. The mail may have been stored: call again with `key`."""


class StillOpen(Error):
    """The time was over and the mail not closed: it is in `state`."""

    def __init__(self, id: str, state: State) -> None:
        super().__init__(f"{id} is still {state}")
        self.state = state
