"""EmailDocument: read into a checked mail, and written from a record. The rules of a mail are those of HTTP (compose).

Rules: numbers in `variables` that are whole become integers; variables may stand there without a template. An eventId is 1 to 255 printable ASCII characters without
spaces. Every wrong field is named, in the words of the proto.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from posthouse.mail.address import format_mailbox
from posthouse.mail.message import Content, Message, Recipient
from posthouse.proto import records_pb2 as pb
from posthouse.records.guard import wrong_fields
from posthouse.store.base import Key
from posthouse.submission.accept import Submission
from posthouse.submission.compose import Rules, compose, limit_text
from posthouse.submission.event import FIELDS, event_key, is_wrong
from posthouse.submission.pinned import Pinned, allowing, keeping
from posthouse.submission.problems import Finding
from posthouse.submission.request import AttachmentRequest, SendRequest

EVENT_ID = re.compile("[!-~]{1,255}")
BAD_EVENT_ID = "must have 1 to 255 printable ASCII characters, and no spaces"
_KNOWN_STATUS = ("", "PENDING")


def read_document(
    document: pb.EmailDocument,
    rules: Rules,
    now: int,
    new_id: Callable[[], str],
    pinned: Pinned | None = None,
) -> tuple[Submission, Key]:
    """The checked mail, and the key under which it is saved only once; raises Refused, naming every wrong field. `pinned`
    is the template of the catalog that it names."""
    request = _request(document)
    limit_text(request, rules.max_text)
    submission, findings = compose(request, allowing(rules, pinned), now)
    wrong = [(_field(each), each.detail) for each in findings if is_wrong(each)]
    if document.event_id and not EVENT_ID.fullmatch(document.event_id):
        wrong.append(("event_id", BAD_EVENT_ID))
    if document.status not in _KNOWN_STATUS:
        wrong.append(("status", "must be empty or PENDING"))
    if wrong:
        raise wrong_fields(list(dict.fromkeys(wrong)))
    id = new_id()
    event_id = document.event_id or None
    submission = msgspec.structs.replace(keeping(submission, pinned), id=id, event_id=event_id)
    return submission, event_key(event_id or id, request)


def show_document(message: Message, content: Content | None, *, truncated: bool = False) -> pb.EmailDocument:
    """The record as it stands, with its content as far as it is kept; without the attachments."""
    document = pb.EmailDocument(
        event_id=message.event_id or message.id,
        category=message.tags[0] if message.tags else "",
        status=message.status,
        state=message.state,
        error=message.error or "",
        attempts=message.attempts,
        uncertain=message.uncertain,
        provider=_provider(message),
        provider_message_id=message.provider_message_id or "",
        created_at=_time(message.created_at),
        sent_at=_time(message.sent_at),
        failed_at=_time(message.failed_at),
        due_at=_time(message.due_at),
        recipients=[_recipient(recipient) for recipient in message.recipients],
        recipient=", ".join(recipient.email for recipient in message.recipients if recipient.kind == "to"),
        message_id=message.message_id,
        truncated=truncated,
    )
    if message.took is not None:
        document.metrics.queued_ms = message.took.queued
        document.metrics.render_ms = message.took.render
        document.metrics.delivery_ms = message.took.delivery
    closed = [at for at in (message.sent_at, message.failed_at) if at is not None]
    if closed:
        document.metrics.total_ms = (min(closed) - message.created_at) // 1000
    if content is not None:
        _show_content(document, content)
    return document


def attach(document: pb.EmailDocument, content: Content | None) -> pb.EmailDocument:
    """The same document with its attachments."""
    for each in content.attachments if content else ():
        document.attachments.add(filename=each.filename, content_type=each.content_type, content=each.content)
    return document


def _request(document: pb.EmailDocument) -> SendRequest:
    return SendRequest(
        to=document.recipient,
        subject=document.subject or None,
        from_=document.sender or None,
        html=document.html or None,
        text=document.text or None,
        template=document.template or None,
        variables=_plain(document.variables) or None,
        tags=[document.category] if document.category else None,
        attachments=[
            AttachmentRequest(each.filename, each.content, each.content_type or None)
            for each in document.attachments
        ]
        or None,
    )


def _field(finding: Finding) -> str:
    """`/attachments/0/filename` as `attachments[0].filename`."""
    name, *steps = finding.pointer.split("/")[1:]
    if name in ("to", "tags"):
        steps = []
    return FIELDS.get(name, name) + "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in steps)


def _plain(struct: Struct) -> dict[str, Any]:
    """A Struct as plain data."""
    return {name: _value(value) for name, value in struct.fields.items()}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_value(each) for each in value.list_value.values]
    if kind == "number_value":
        number: float = value.number_value
        return int(number) if number.is_integer() else number
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None


def _show_content(document: pb.EmailDocument, content: Content) -> None:
    document.recipient = ", ".join(map(format_mailbox, content.to))
    document.sender = format_mailbox(content.sender)
    document.subject = content.subject
    document.template = content.template or ""
    document.html = content.html or ""
    document.text = content.text or ""
    if content.variables:
        document.variables.update(content.variables)


def _provider(message: Message) -> str:
    """The transport of the last attempt."""
    used: Iterable[str] = (entry.transport for entry in reversed(message.history) if entry.transport)
    return next(iter(used), "")


def _recipient(recipient: Recipient) -> pb.Recipient:
    return pb.Recipient(
        email=recipient.email,
        kind=recipient.kind,
        state=recipient.state,
        attempts=recipient.attempts,
        code=recipient.code or 0,
        enhanced_code=recipient.enhanced_code or "",
        error=recipient.error or "",
    )


def _time(at: int | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(at)
    return stamp
