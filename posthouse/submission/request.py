"""What POST /email/send takes: the Structs, which are the schema too. The rules beyond types are in compose."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from posthouse.mail.message import Lane

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""An ISO 8601 time with its zone."""


class AttachmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file: `content` is base64. With a `content_id` it is an inline part of the HTML."""

    filename: str
    content: bytes
    content_type: str | None = None
    content_id: str | None = None


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A mail to 1 to 50 recipients. One of body, html, text is needed; null is the same as absent."""

    to: str | list[str]
    subject: str
    body: str | None = None
    html: str | None = None
    text: str | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    cc: str | list[str] | None = None
    bcc: str | list[str] | None = None
    reply_to: str | list[str] | None = None
    headers: dict[str, str] | None = None
    attachments: list[AttachmentRequest] | None = None
    tags: list[str] | None = None
    template: str | None = None
    variables: dict[str, Any] | None = None
    scheduled_at: Moment | None = None
    expires_at: Moment | None = None
    lane: Lane = "transactional"
