"""The mail as accepted: one set of Structs from the API to the store.

`Message` is the record: small, hot, rewritten as the mail moves. `Content` is what was handed in: written once,
never rewritten, kept apart from the record. Times are whole microseconds since 1970 (UTC); only a store makes them.
"""

from typing import Any, Literal

import msgspec

from posthouse.mail.lifecycle import OPEN, STATUS, State, Status, fold
from posthouse.mail.outcome import Category

Lane = Literal["transactional", "bulk"]
LANES: tuple[Lane, ...] = ("transactional", "bulk")

RecipientKind = Literal["to", "cc", "bcc"]

SECOND = 1_000_000
"""Microseconds in a second."""


class Mailbox(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address as written in a header: `email` with its domain as A-labels, and a display name or ""."""

    email: str
    name: str = ""


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a mail. One with a `content_id` (without angle brackets) is an inline part of the HTML."""

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"
    content_id: str | None = None


class Content(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the mail says. At least one of html, text, template is there; text absent beside html is derived. Beside a
    template html and text are what it gave, once it was rendered; `subject` may be "" before that. A template with a
    version is one of the catalog."""

    sender: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    html: str | None = None
    text: str | None = None
    headers: dict[str, str] = {}
    attachments: tuple[Attachment, ...] = ()
    template: str | None = None
    template_version: int | None = None
    variables: dict[str, Any] = {}


class Recipient(msgspec.Struct, omit_defaults=True):
    """One address of a message with its own state. `attempts` counts every try; `spent` those of the budget since
    accept or the last retry by a person; `waits` the greylistings; `uncertain` the tries of unknown outcome. `category`
    is that of its last outcome, unless that was good."""

    email: str
    kind: RecipientKind = "to"
    state: State = "pending"
    attempts: int = 0
    spent: int = 0
    waits: int = 0
    uncertain: int = 0
    code: int | None = None
    enhanced_code: str | None = None
    error: str | None = None
    category: Category | None = None
    at: int | None = None


class HistoryEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened: to the message, or to one of its recipients."""

    at: int
    event: str
    recipient: str | None = None
    attempt: int | None = None
    transport: str | None = None
    code: int | None = None
    text: str | None = None


class Took(msgspec.Struct, frozen=True, array_like=True):
    """Where the time of a mail's last attempt went, in whole milliseconds: from the mail's creation until its worker had
    it, until a transport had its bytes, until the answer."""

    queued: int
    render: int
    delivery: int

    @property
    def total(self) -> int:
        """From the mail's creation until the answer."""
        return self.queued + self.render + self.delivery


class Message(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The record of one mail.

    `due_at` is the only clock: now, a scheduled time, the next try, the end of a lease; None when no recipient is
    open. `owner` holds the lease while it is set; `fence` grows with each lease, `version` with each write.
    `losses` counts the workers that died holding it since its last settled attempt; `alone` how many of them
    while it was claimed alone. `size` is the content's length in bytes, about. `provider_message_id` is the name that
    the next hop gave it, where it gives one. `event_id` is the name that its producer gave it, where that is not the id.
    `took` is known of attempts that a living worker ended. `cancel_asked`: it is in the air, and when that has ended
    nothing more is to be tried.
    """

    id: str
    message_id: str
    event_id: str | None = None
    lane: Lane = "transactional"
    campaign: str | None = None
    tags: tuple[str, ...] = ()
    size: int = 0
    created_at: int = 0
    scheduled_at: int | None = None
    expires_at: int = 0
    due_at: int | None = None
    owner: str | None = None
    fence: int = 0
    version: int = 0
    losses: int = 0
    sent_at: int | None = None
    delivered_at: int | None = None
    failed_at: int | None = None
    provider_message_id: str | None = None
    took: Took | None = None
    cancel_asked: bool = False
    recipients: list[Recipient]
    history: list[HistoryEntry] = []

    @property
    def state(self) -> State:
        """The fold of the recipients' states."""
        if len(self.recipients) == 1:
            return self.recipients[0].state
        return fold(recipient.state for recipient in self.recipients)

    @property
    def status(self) -> Status:
        """The outer word for `state`: PENDING, SENT or FAILED."""
        return STATUS[self.state]

    @property
    def open(self) -> list[Recipient]:
        """The recipients that are still owed work."""
        return [recipient for recipient in self.recipients if recipient.state in OPEN]

    @property
    def attempts(self) -> int:
        """How often this mail was tried: the most of any recipient."""
        return max(recipient.attempts for recipient in self.recipients)

    @property
    def uncertain(self) -> int:
        """How many tries ended with an unknown outcome: the most of any recipient."""
        return max(recipient.uncertain for recipient in self.recipients)

    @property
    def error(self) -> str | None:
        """Why it is not simply sent: the first error among the recipients, with the address where several differ."""
        failed = [r for r in self.recipients if r.error and r.state not in ("sent", "delivered")]
        if not failed:
            return None
        if len(self.recipients) == 1:
            return failed[0].error
        return "; ".join(f"{recipient.email}: {recipient.error}" for recipient in failed)
