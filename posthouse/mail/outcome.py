"""What an attempt gave one recipient, and how an SMTP reply is read (RFC 5321 §4.2.1, RFC 3463, RFC 5248).

The first digit of the reply decides; the enhanced code and the text only refine. Every outcome says what it spends:
an attempt, only time (greylisting), or nothing (no transaction was begun).
"""

import re
from typing import Literal

import msgspec

Result = Literal["accepted", "deferred", "refused", "unknown"]
Spends = Literal["attempt", "time", "nothing"]
Scope = Literal["recipient", "message", "sender", "domain", "transport"]
Category = Literal[
    "ok",
    "address",
    "mailbox_full",
    "size",
    "content",
    "policy",
    "greylist",
    "rate",
    "network",
    "login",
    "protocol",
    "lost",
    "expired",
    "other",
]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """accepted, deferred, refused or unknown; with the reply, a text safe to show, whose fault it is and of what kind.

    `scope` "transport" means the next hop could not be used at all: it feeds the breaker. Only `scope` "recipient"
    may ever suppress an address. `provider_message_id` is the name under which the next hop will speak of the mail.
    """

    result: Result
    code: int | None = None
    enhanced_code: str | None = None
    text: str = ""
    scope: Scope = "message"
    category: Category = "other"
    spends: Spends = "attempt"
    provider_message_id: str | None = None


NO_SUCH_ADDRESS = frozenset(("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"))
"""Enhanced codes (RFC 3463) that say of an address itself that it takes no mail, now or later: it is not there, cannot be,
has moved, its domain takes none (RFC 7505), or it is switched off."""

# The name that a server gave the mail, if it is long enough to be its own for weeks.
_QUEUED_AS = re.compile(r"(?:\bqueued as|\bid=|^Ok) ?([!-<>-~]{16,128})$", re.I)
_GREYLIST = re.compile(r"gr[ae]y-?\s?list", re.I)
_ENHANCED: tuple[tuple[str, Scope, Category], ...] = (
    ("1.7", "sender", "address"),
    ("1.8", "sender", "address"),
    ("1.", "recipient", "address"),
    ("2.1", "recipient", "address"),
    ("2.2", "recipient", "mailbox_full"),
    ("2.3", "message", "size"),
    ("2.", "recipient", "other"),
    ("3.4", "message", "size"),
    ("3.", "domain", "other"),
    ("4.", "domain", "network"),
    ("5.3", "message", "rate"),
    ("5.", "message", "protocol"),
    ("6.", "message", "content"),
    ("7.", "sender", "policy"),
)
_CODES: dict[int, tuple[Scope, Category]] = {
    421: ("domain", "network"),
    450: ("recipient", "other"),
    452: ("message", "rate"),
    530: ("transport", "login"),
    550: ("recipient", "address"),
    551: ("recipient", "address"),
    552: ("message", "size"),
    553: ("recipient", "address"),
    554: ("message", "policy"),
}


def classify(code: int, enhanced: str | None, text: str) -> Outcome:
    """The outcome that a final reply to MAIL, RCPT, DATA or the end of data gives a recipient."""
    if 200 <= code < 300:
        name = _QUEUED_AS.search(text)
        return Outcome(
            result="accepted",
            code=code,
            enhanced_code=enhanced,
            text=text,
            category="ok",
            provider_message_id=name[1] if name else None,
        )
    scope, category = _class_of(code, enhanced)
    if is_greylisting(code, enhanced, text):
        return Outcome(
            result="deferred",
            code=code,
            enhanced_code=enhanced,
            text=text,
            scope="domain",
            category="greylist",
            spends="time",
        )
    result: Result = "refused" if code >= 500 else "deferred"
    return Outcome(
        result=result, code=code, enhanced_code=enhanced, text=text, scope=scope, category=category
    )


def is_greylisting(code: int, enhanced: str | None, text: str) -> bool:
    """450 or 451 with 4.7.1 or 4.2.0, or a text that speaks of greylisting (DESIGN §3.7)."""
    if not 400 <= code < 500 or code == 421:
        return False
    return (code in (450, 451) and enhanced in ("4.7.1", "4.2.0")) or bool(_GREYLIST.search(text))


def transport_away(text: str, code: int | None = None, enhanced: str | None = None) -> Outcome:
    """The next hop could not be used: no connection, or one that refused to do business. Feeds the breaker."""
    category: Category = "login" if code in (530, 534, 535, 538, 454) else "network"
    return Outcome(
        result="deferred",
        code=code,
        enhanced_code=enhanced,
        text=text,
        scope="transport",
        category=category,
    )


def link_lost(text: str) -> Outcome:
    """The link died inside this mail's transaction, before its end of data: nothing happened, an attempt is spent."""
    return Outcome(result="deferred", text=text, scope="message", category="network")


def not_begun(text: str, category: Category = "other") -> Outcome:
    """Nothing of this mail was said to anybody: it is handed back and nothing is spent. Of category "network" when it
    was the other side that hung up."""
    return Outcome(result="deferred", text=text, scope="transport", category=category, spends="nothing")


def unknown(text: str) -> Outcome:
    """The end of data was sent and no reply came (RFC 1047): nobody knows."""
    return Outcome(result="unknown", text=text, category="lost")


def refused(
    text: str, category: Category = "content", code: int | None = None, enhanced: str | None = None
) -> Outcome:
    """We refuse it ourselves: it cannot be written, or cannot be said to this transport, or its time is over."""
    return Outcome(result="refused", text=text, category=category, code=code, enhanced_code=enhanced)


def _class_of(code: int, enhanced: str | None) -> tuple[Scope, Category]:
    if enhanced:
        subject = enhanced.split(".", 1)[1]
        for prefix, scope, category in _ENHANCED:
            if subject == prefix or (prefix.endswith(".") and subject.startswith(prefix)):
                return scope, category
    return _CODES.get(code, ("message", "other"))
