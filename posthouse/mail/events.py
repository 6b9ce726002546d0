"""The two events that RabbitMQ carries, as the JSON that any program reads and writes (docs/events has their schemas).

EmailSendEvent says that a mail is to be sent: with the mail itself, or with the names of documents that hold it.
EmailStatusEvent says what an attempt gave. What stands in an event beyond these fields is passed over.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from posthouse.mail.lifecycle import State
from posthouse.mail.outcome import Category

MOST_IDS = 100
"""Names in one event at most."""

Word = Literal["SENT", "FAILED", "PENDING", "UNKNOWN"]
EventId = Annotated[str, Meta(pattern="^[!-~]{1,255}$", description="Printable ASCII without spaces.")]
Moment = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0)]


class EventAttachment(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A file of a mail."""

    filename: str
    content: Annotated[bytes, Meta(description="Base64.")]
    content_type: str | None = None


class EmailSendEvent(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """A mail is to be sent. `eventId` names it for ever: an event that comes twice is sent once. Without a recipient
    its document holds it; `eventIds` names several such documents."""

    event_id: EventId | None = None
    event_ids: Annotated[list[EventId], Meta(max_length=MOST_IDS)] | None = None
    recipient: Annotated[str | None, Meta(description="`ann@example.com` or `Ann <ann@example.com>`.")] = None
    sender: Annotated[str | None, Meta(description="The server's own if left out.")] = None
    subject: str | None = None
    template: str | None = None
    variables: dict[str, Any] | None = None
    category: Annotated[str | None, Meta(description="A word to find it by.")] = None
    html: str | None = None
    text: str | None = None
    attachments: list[EventAttachment] | None = None

    @property
    def names(self) -> list[str]:
        """The documents it names."""
        return [*([] if self.event_id is None else [self.event_id]), *(self.event_ids or [])]

    @property
    def carries(self) -> bool:
        """Whether it carries the mail itself."""
        return self.recipient is not None


class StatusRecipient(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """What became of one address. `category`: of what kind it was, where the reply does not tell; `uncertain`: nobody
    knows whether this attempt reached it."""

    email: str
    state: State
    code: int | None = None
    enhanced_code: str | None = None
    error: str | None = None
    category: Category | None = None
    uncertain: bool = False


class StatusMetrics(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where the time went, in whole milliseconds: from the mail's creation until this attempt's worker had it, until a
    transport had its bytes, until the answer; and all of it."""

    queued_ms: Count = 0
    render_ms: Count = 0
    delivery_ms: Count = 0
    total_ms: Count = 0


class EmailStatusEvent(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """What the attempt number `attempt` gave. With a `fence` it counts while the lease of that number stands, else by
    what has been told before. PENDING is tried again at `nextAttemptAt`; UNKNOWN is for a person."""

    event_id: EventId
    status: Word
    attempt: Annotated[int, Meta(ge=1)]
    occurred_at: Moment
    fence: int | None = None
    error: str | None = None
    attempts: Annotated[Count, Meta(description="All attempts so far.")] = 0
    next_attempt_at: Moment | None = None
    provider: Annotated[str | None, Meta(description="What it was handed to.")] = None
    provider_message_id: str | None = None
    metrics: StatusMetrics | None = None
    recipients: Annotated[
        list[StatusRecipient] | None, Meta(description="Always, where a mail has several.")
    ] = None


def schema(event: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event."""
    (made,), parts = msgspec.json.schema_components([event], ref_template="#/$defs/{name}")
    name = made["$ref"].rpartition("/")[2]
    rules = _ONE_NAME if event is EmailSendEvent else {}
    others = {key: part for key, part in parts.items() if key != name}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return _on_one_line({"$schema": dialect, **parts[name], **rules, "$defs": others})


def _on_one_line(part: Any) -> Any:
    """The same with texts that do not show how our source is wrapped."""
    if isinstance(part, dict):
        return {key: _on_one_line(value) for key, value in cast(dict[str, Any], part).items()}
    if isinstance(part, list):
        return [_on_one_line(each) for each in cast(list[Any], part)]
    return " ".join(part.split()) if isinstance(part, str) else part


_MAIL = {"required": ["recipient"], "properties": {"recipient": {"type": "string"}}}
_ONE_NAME: dict[str, Any] = {
    "anyOf": [{"required": ["eventId"]}, {"required": ["eventIds"]}],
    "if": _MAIL,
    "then": {"required": ["eventId", "subject"]},
}
"""What types cannot say."""
