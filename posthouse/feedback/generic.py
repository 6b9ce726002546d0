"""POST /webhooks/generic: Standard Webhooks (spec of 2026-08), for any provider or relay that can sign.

Signed is `id.timestamp.body` with HMAC-SHA256; several signatures and several secrets may be given, for rotation. A
timestamp further than TOLERANCE from now is refused. The header family of Svix is taken as well.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from posthouse.feedback.base import BadSignature
from posthouse.mail.message import SECOND
from posthouse.mail.notice import Notice, NoticeKind
from posthouse.submission.problems import Finding, invalid
from posthouse.submission.times import microseconds

TOLERANCE = 300 * SECOND
"""How far a timestamp may be from now, in microseconds."""
MAX_TEXT = 2_000
"""Characters of a reason that are kept beside the raw event."""

_FAMILIES = (b"webhook-", b"svix-")


class EventData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which mail, by one of three names, which of its recipients, and what is known of why."""

    recipient: str
    id: str | None = None
    message_id: str | None = None
    provider_message_id: str | None = None
    code: int | None = None
    reason: str | None = None
    permanent: bool = True


class GenericEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happened to one recipient of a mail."""

    type: NoticeKind
    timestamp: datetime
    data: EventData


class GenericHook:
    """`secrets` are those of the setting: each `whsec_` and base64, or any other text."""

    name = "generic"
    event: type[msgspec.Struct] = GenericEvent
    summary = "Tell what became of a mail"
    text = (
        "For any provider or relay that signs as Standard Webhooks says. A mail is named by its id, its Message-ID, or the"
        " provider's own name for it. Told again under the same `webhook-id`, it changes nothing."
    )
    headers: Mapping[str, str] = {
        "webhook-id": "Names the event; the same when it is sent again.",
        "webhook-timestamp": "Seconds since 1970, not more than five minutes from now.",
        "webhook-signature": "`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64; several, with spaces between.",
    }
    example: Mapping[str, Any] = {
        "type": "delivered",
        "timestamp": "2026-11-23T12:00:00Z",
        "data": {"id": "01900000-0000-7000-8000-000000000001", "recipient": "ann@example.org"},
    }

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [key for secret in secrets for key in _keys_of(secret)]

    def verify(self, headers: Mapping[bytes, bytes], body: bytes, now: int) -> str:
        id, timestamp, given = _headers(headers)
        if not timestamp.isdigit() or len(timestamp) > 12:
            raise BadSignature("the timestamp is not a number of seconds")
        if abs(int(timestamp) * SECOND - now) > TOLERANCE:
            raise BadSignature("the timestamp is more than five minutes from now")
        signed = b".".join((id, timestamp, body))
        good = [hmac.new(key, signed, sha256).digest() for key in self._keys]
        signatures = [_decoded(each[3:]) for each in given.split() if each.startswith(b"v1,")]
        matches = [hmac.compare_digest(one, other) for one in good for other in signatures]
        if not any(matches):
            raise BadSignature("no signature of it is right")
        return id.decode("ascii")

    def notices(self, event: msgspec.Struct, key: str, body: bytes) -> list[Notice]:
        assert isinstance(event, GenericEvent)
        data = event.data
        findings = list(_wrong(data))
        if findings:
            raise invalid(findings)
        notice = Notice(
            provider=self.name,
            key=key,
            kind=event.type,
            recipient=data.recipient,
            at=microseconds(event.timestamp),
            id=data.id,
            message_id=data.message_id,
            provider_message_id=data.provider_message_id,
            code=data.code,
            text=_cleaned(data.reason or ""),
            permanent=data.permanent,
            raw=body,
        )
        return [notice]


def _wrong(data: EventData) -> list[Finding]:
    findings: list[Finding] = []
    if not (data.id or data.message_id or data.provider_message_id):
        text = "one of id, message_id, provider_message_id is required"
        findings.append(Finding("/data/id", text))
    if not data.recipient.strip():
        findings.append(Finding("/data/recipient", "must not be empty"))
    if data.code is not None and not 100 <= data.code <= 999:
        findings.append(Finding("/data/code", "must be a reply code of three digits"))
    return findings


def _headers(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    for family in _FAMILIES:
        id, timestamp, signature = (
            headers.get(family + each) for each in (b"id", b"timestamp", b"signature")
        )
        if id and timestamp and signature:
            if not 0 < len(id) <= 255 or not id.isascii():
                raise BadSignature("the id is longer than 255 characters, or not ASCII")
            return id, timestamp, signature
    raise BadSignature("webhook-id, webhook-timestamp and webhook-signature are required")


def _keys_of(secret: str) -> list[bytes]:
    """The key of a secret: base64 behind `whsec_`; without that prefix base64 or the text itself, as senders differ."""
    named = secret.startswith("whsec_")
    decoded = _decoded(secret.removeprefix("whsec_").encode())
    return [key for key in (decoded, b"" if named else secret.encode()) if key]


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _cleaned(text: str) -> str:
    """Safe to keep and to show: a line, without control characters."""
    return "".join(each if each.isprintable() else " " for each in text[:MAX_TEXT]).strip()
