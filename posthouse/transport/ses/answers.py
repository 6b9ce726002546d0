"""What SES answers, as outcomes: one answer counts for all recipients of a request.

A quota that is spent and credentials that are not taken are no fault of the mail. 502 and 504 come from somebody on the way
who does not know either.
"""

import re
from typing import Any, cast

import msgspec

from posthouse.mail.outcome import Category, Outcome, not_begun, refused, transport_away, unknown

MOST = 500
"""Characters of a text that are kept."""

THROTTLED = frozenset(
    ("TooManyRequestsException", "LimitExceededException", "ThrottlingException", "Throttling")
)
OURS = frozenset(("AccountSuspendedException", "SendingPausedException", "NotFoundException"))
"""Errors of the account or of our settings: no other mail would fare better."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_GATEWAY = (502, 504)


class Told(msgspec.Struct, frozen=True):
    """An answer: the error's `kind` ("" for none) and `text`, or the `message_id` of a mail that was taken."""

    status: int
    kind: str = ""
    text: str = ""
    message_id: str | None = None


def read(status: int, kind: str | None, body: bytes) -> Told:
    """An answer of the API: `kind` is its header x-amzn-errortype."""
    try:
        plain: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        plain = {}
    told = cast("dict[str, Any]", plain) if isinstance(plain, dict) else {}
    named = kind or told.get("__type") or told.get("code") or ""
    text = told.get("message") or told.get("Message") or ""
    return Told(
        status, _clean(named).split(":")[0].split("#")[-1], _clean(text), _name(told.get("MessageId"))
    )


def outcome_of(told: Told) -> Outcome:
    """What it means for the mail that was in the request."""
    if told.status < 300:
        return Outcome(
            result="accepted",
            code=told.status,
            text=f"SES took it: {told.message_id}",
            category="ok",
            provider_message_id=told.message_id,
        )
    text = f"SES: {told.kind or f'HTTP {told.status}'}" + (f": {told.text}" if told.text else "")
    if is_throttled(told):
        return not_begun(text, "rate")
    if told.status in _GATEWAY:
        return unknown(text)
    if told.status >= 500 or told.status in (401, 403, 408) or told.kind in OURS:
        return _away(text, told)
    return refused(text, _category(told), told.status)


def is_throttled(told: Told) -> bool:
    """Whether it was too much at once, or for today."""
    return told.status == 429 or told.kind in THROTTLED


def denies(told: Told) -> bool:
    """Whether it says that nothing can be sent as things are; that this one question is not allowed says nothing."""
    if told.kind == "AccessDeniedException":
        return False
    return told.status >= 500 or told.status in (401, 403) or told.kind in OURS - {"NotFoundException"}


def _away(text: str, told: Told) -> Outcome:
    login = told.status in (401, 403)
    outcome = transport_away(text, told.status)
    return msgspec.structs.replace(outcome, category="login") if login else outcome


def _category(told: Told) -> Category:
    if told.status == 413:
        return "size"
    return "policy" if told.kind == "MailFromDomainNotVerifiedException" else "content"


def _name(id: object) -> str | None:
    return id if isinstance(id, str) and 0 < len(id) <= 255 and id.isascii() and id.isprintable() else None


def _clean(text: object) -> str:
    return _CONTROL.sub(" ", text).strip()[:MOST] if isinstance(text, str) else ""
