"""What POST /email/send takes: the Structs, which are the schema too. The rules beyond types are in compose."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from posthouse.mail.message import Lane
from posthouse.mail.mime import MAX_ATTACHMENTS, MAX_HEADERS, MAX_SUBJECT

MAX_RECIPIENTS = 50
MAX_TAGS = 75
MAX_TAG = 256
"""Characters of a tag."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""An ISO 8601 time with its zone."""


def says(text: str, **schema: Any) -> msgspec.Meta:
    """Words and limits for the schema alone: compose asks for them, so that each is refused in our words."""
    return msgspec.Meta(description=text, extra_json_schema=schema or None)


LINE = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]+$"
"""One line: no control characters."""

OneMailbox = Annotated[str, msgspec.Meta(extra_json_schema={"format": "mailbox"})]
Mailboxes = OneMailbox | Annotated[list[OneMailbox], says("Several.", maxItems=MAX_RECIPIENTS)]


class AttachmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a mail."""

    filename: Annotated[str, says("Its name for the reader.", minLength=1)]
    content: Annotated[bytes, says("Base64.")]
    content_type: Annotated[
        str | None, says("Its media type; guessed from the filename if it is left out.")
    ] = None
    content_id: Annotated[str | None, says("Makes it an inline part: the html shows it as `cid:…`.")] = None


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A mail to 1 to 50 recipients. One of body, html, text is needed, or a template; null is absent, save for lane."""

    to: Annotated[Mailboxes, says("`ann@example.com` or `Ann <ann@example.com>`; each address gets it once.")]
    subject: Annotated[
        str | None, says("One line. Replaces the template's.", maxLength=MAX_SUBJECT, pattern=LINE)
    ] = None
    body: Annotated[str | None, says("Html if it looks like it, else text. Not beside html or text.")] = None
    html: str | None = None
    text: Annotated[str | None, says("What readers without html see; made from the html if left out.")] = None
    from_: Annotated[OneMailbox | None, says("The sender; the server's own if left out.")] = msgspec.field(
        name="from", default=None
    )
    cc: Mailboxes | None = None
    bcc: Annotated[Mailboxes | None, says("They get it and no reader sees them.")] = None
    reply_to: Annotated[Mailboxes | None, says("Where answers go.")] = None
    headers: Annotated[
        dict[str, str] | None,
        says("X-*, List-*, References, In-Reply-To, Feedback-ID and the like.", maxProperties=MAX_HEADERS),
    ] = None
    attachments: Annotated[list[AttachmentRequest] | None, says("Files.", maxItems=MAX_ATTACHMENTS)] = None
    tags: Annotated[
        list[Annotated[str, msgspec.Meta(extra_json_schema={"maxLength": MAX_TAG, "pattern": LINE})]] | None,
        says("Words to find it by.", maxItems=MAX_TAGS),
    ] = None
    template: Annotated[
        str | None,
        says("A template of this server, which makes subject, html and text. Beside none of those."),
    ] = None
    variables: Annotated[
        dict[str, Any] | None, says("What the template may name, beside email, name, userName and roles.")
    ] = None
    scheduled_at: Annotated[Moment | None, says("Not before this time; one that is over means now.")] = None
    expires_at: Annotated[Moment | None, says("Not tried after this time.")] = None
    lane: Annotated[Lane, says("Bulk mail never delays transactional mail.")] = "transactional"


def _given(*names: str) -> dict[str, Any]:
    return {"required": list(names), "properties": {name: {"type": "string"} for name in names}}


def _alone(name: str, *others: str) -> dict[str, Any]:
    return {"if": _given(name), "then": {"properties": {other: {"type": "null"} for other in others}}}


ONE_BODY: dict[str, Any] = {
    "anyOf": [*(_given("subject", name) for name in ("body", "html", "text")), _given("template")],
    "allOf": [_alone("body", "html", "text"), _alone("template", "body", "html", "text")],
}
"""One of body, html, text, and a subject; or a template. Body and template not beside the others. Types cannot say it."""

EXAMPLES: dict[str, Any] = {
    "simple": {
        "to": "ann@example.com",
        "subject": "Fresh horses",
        "body": "<p>They are <b>ready</b>.</p>",
    },
    "full": {
        "from": "Post House <post@example.com>",
        "to": ["Ann <ann@example.com>"],
        "reply_to": "stable@example.com",
        "subject": "Fresh horses",
        "html": "<p>They are <b>ready</b>.</p>",
        "text": "They are ready.",
        "headers": {"X-Entity-Ref-ID": "4711"},
        "attachments": [{"filename": "horses.txt", "content": "QmF5YXJk"}],
        "tags": ["welcome"],
        "scheduled_at": "2026-01-31T12:00:00Z",
    },
}
"""Requests for the reference."""
