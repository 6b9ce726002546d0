"""A record as a document: itself as MessagePack, which is the truth, and beside it what is searched for and what others read."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from posthouse.mail.message import Content, HistoryEntry, Message, Recipient
from posthouse.store.content import encode
from posthouse.store.elasticsearch.recent import Version, Written
from posthouse.store.elasticsearch.session import Document

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Message)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LAST = 9_223_286_400_000_000
"""The last day that a time of nanoseconds can tell (2262), in microseconds."""

UNREAD = "variables"
"""What is never read back."""
RECORD = ["record", "heard", "body"]
"""What a change reads."""
READ = f"_source_includes={','.join(RECORD)}"
"""The same as an option of a read."""


class Found(NamedTuple):
    """A record, the version it was read in, the notices that were applied to it last, and whether its body is still whole.
    What was `remembered` of it also has what of its document never changes."""

    message: Message
    seen: Version
    heard: list[str]
    whole: bool
    remembered: Written | None = None


class _Source(msgspec.Struct, frozen=True):
    record: str
    body: str
    heard: list[str] | None = None


_source = msgspec.json.Decoder(_Source).decode


def read(document: Document) -> Found:
    """What a read of RECORD gave."""
    source = _source(document.source)
    message = _DECODER.decode(base64.b64decode(source.record))
    return Found(message, document.seen, source.heard or [], source.body == "whole")


def remembered(written: Written) -> Found:
    """What this process wrote last; nothing took its body since, or this version would not stand."""
    return Found(_DECODER.decode(written.record), written.seen, list(written.heard), True, written)


def found(document: Mapping[str, Any]) -> Found:
    """A document of a search that asks for the version."""
    source = document["_source"]
    seen = document["_seq_no"], document["_primary_term"]
    return Found(unpack(source), seen, source.get("heard") or [], source["body"] == "whole")


def unpack(source: Mapping[str, Any]) -> Message:
    """The record of a source."""
    return _DECODER.decode(base64.b64decode(source["record"]))


def fixed(message: Message, content: Content) -> bytes:
    """What of a new mail's document is written once, without the braces."""
    body: dict[str, Any] = {
        "eventId": message.id,
        "recipient": ", ".join(each.email for each in content.to),
        "sender": content.sender.email,
        "subject": content.subject,
        "template": content.template,
        "variables": content.variables,
        "category": next(iter(message.tags), None),
        "lane": message.lane,
        "campaign": message.campaign,
        "tags": message.tags,
        "createdAt": time(message.created_at),
        "date": time(max(message.created_at, message.scheduled_at or 0)),
        "body": "whole",
    }
    return msgspec.json.encode(body)[1:-1]


def moving(message: Message, record: bytes, heard: list[str]) -> bytes:
    """What is written anew with each change, as an object; `record` is the message packed."""
    return msgspec.json.encode({**_moving(message), "record": record, "heard": heard or None})


def whole(fixed: bytes, moving: bytes) -> bytes:
    """The document of both."""
    return b"{%b,%b" % (fixed, moving[1:])


def update(moving: bytes) -> bytes:
    """The body of an update that leaves the rest as it is."""
    return b'{"doc":%b}' % moving


def pack(message: Message) -> bytes:
    """The record as it is kept."""
    return _ENCODER.encode(message)


def subject(content: Content) -> bytes:
    """What a template changes in the document, as the body of an update."""
    return msgspec.json.encode({"doc": {"subject": content.subject}})


def contents(content: Content, fingerprint: bytes | None = None) -> bytes:
    """The document of what a mail says: what is `shown` of it and, where that is not all, all of it; and the fingerprint
    of what its producer named."""
    body = _said(content)
    return msgspec.json.encode(body if fingerprint is None else {**body, "fingerprint": fingerprint})


def kept(content: Content) -> bytes:
    """What a template made of it, as the body of an update."""
    return msgspec.json.encode({"doc": {"data": None, **_said(content)}})


def _said(content: Content) -> dict[str, bytes]:
    shown, data = encode(content)
    return {"shown": data} if shown is None else {"shown": shown, "data": data}


def time(at: int | None) -> datetime | None:
    """A time as documents have it."""
    return None if at is None else _EPOCH + timedelta(microseconds=min(at, LAST))


def text(at: int) -> str:
    """A time as queries have it."""
    return datetime.isoformat(_EPOCH + timedelta(microseconds=min(max(at, 0), LAST)), timespec="microseconds")


def microseconds(text: str | None) -> int | None:
    """A document's time as records have it."""
    return None if text is None else (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def _moving(message: Message) -> dict[str, Any]:
    tried = [entry for entry in message.history if entry.transport is not None]
    return {
        "status": message.status,
        "state": message.state,
        "owner": message.owner,
        "losses": message.losses,
        "error": message.error,
        "attempts": message.attempts,
        "uncertain": message.uncertain,
        "provider": tried[-1].transport if tried else None,
        "providerMessageId": message.provider_message_id,
        "expiresAt": time(message.expires_at),
        "sentAt": time(message.sent_at),
        "failedAt": time(message.failed_at),
        "dueAt": time(message.due_at),
        "metrics": _metrics(message),
        "recipients": [_recipient(each) for each in message.recipients],
        "history": [_entry(each) for each in message.history],
    }


def _metrics(message: Message) -> dict[str, int | None]:
    """Where the time of the last attempt went; in all until it was first SENT or FAILED."""
    took, closed = message.took, [at for at in (message.sent_at, message.failed_at) if at is not None]
    return {
        "queuedMs": None if took is None else took.queued,
        "renderMs": None if took is None else took.render,
        "deliveryMs": None if took is None else took.delivery,
        "totalMs": (min(closed) - message.created_at) // 1000 if closed else None,
    }


def _recipient(recipient: Recipient) -> dict[str, Any]:
    return {
        "email": recipient.email,
        "kind": recipient.kind,
        "state": recipient.state,
        "attempts": recipient.attempts,
        "uncertain": recipient.uncertain,
        "code": recipient.code,
        "enhancedCode": recipient.enhanced_code,
        "error": recipient.error,
        "at": time(recipient.at),
    }


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not None} | {
        "at": time(entry.at)
    }
