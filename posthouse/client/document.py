"""What event clients send and read, and how it stands in posthouse.v1 (records.proto)."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from posthouse.client.mail import Attachment, State, Status
from posthouse.proto import records_pb2 as pb


class EmailDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to one address. It needs a subject and html or text; or a template. `event_id` names it for ever: made if
    left out, given to make a send repeatable."""

    recipient: str
    subject: str = ""
    html: str = ""
    text: str = ""
    template: str = ""
    variables: Mapping[str, Any] | None = None
    sender: str = ""
    category: str = ""
    attachments: Sequence[Attachment] = ()
    event_id: str = ""


class Saved(msgspec.Struct, frozen=True):
    """A document that is saved for good. `created`: by this send; `published`: its event is in the broker."""

    event_id: str
    status: Status
    created: bool
    published: bool


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mail."""

    event_id: str
    status: Status
    state: State
    error: str | None
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    failed_at: datetime | None


def asked(document: EmailDocument) -> pb.EmailDocument:
    """As it is saved; named if it was not."""
    named = pb.EmailDocument(
        event_id=document.event_id or secrets.token_urlsafe(24),
        recipient=document.recipient,
        subject=document.subject,
        html=document.html,
        text=document.text,
        template=document.template,
        sender=document.sender,
        category=document.category,
        attachments=[
            pb.Attachment(filename=each.filename, content_type=each.content_type or "", content=each.content)
            for each in document.attachments
        ],
    )
    if document.variables is not None:
        named.variables.update(dict(document.variables))
    return named


def read(document: pb.EmailDocument) -> Document:
    """As the records service tells it."""

    def at(field: str) -> datetime | None:
        return getattr(document, field).ToDatetime(UTC) if document.HasField(cast(Any, field)) else None

    return Document(
        event_id=document.event_id,
        status=cast(Status, document.status),
        state=cast(State, document.state),
        error=document.error or None,
        attempts=document.attempts,
        created_at=document.created_at.ToDatetime(UTC),
        sent_at=at("sent_at"),
        failed_at=at("failed_at"),
    )
