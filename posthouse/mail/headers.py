"""Which headers a caller may set, and what may stand in them.

Rules: names are on an allow-list; what says who wrote, to whom, when, by which way and in which form is ours alone.
Values hold no control characters, and no word that is too long for a line. Texts name the rule, never the input.
"""

import re

from posthouse.mail.address import CONTROL
from posthouse.mail.errors import BadContent

MAX_NAME = 76
"""Characters of a header name."""
MAX_WORD = 900
"""Characters without a space between them: with its name such a word still fits a line of 998 (RFC 5322 §2.1.1)."""
MAX_VALUE = 8_000
"""Characters of a value: a long thread's References; some servers cut headers that are much longer."""

_FTEXT = re.compile("[!-9;-~]+")
_ALLOWED = frozenset(
    {
        "auto-submitted",
        "comments",
        "disposition-notification-to",
        "feedback-id",
        "importance",
        "in-reply-to",
        "keywords",
        "organization",
        "precedence",
        "priority",
        "references",
        "sensitivity",
        "thread-index",
        "thread-topic",
    }
)
_ALLOWED_PREFIXES = ("x-", "list-")
# Relays read these and add recipients that the record would know nothing of.
_DENIED = frozenset({"x-smtpapi", "x-mc-bccaddress"})
_TEXT = frozenset({"comments", "organization", "thread-topic"})


def check_header(name: str, value: str) -> None:
    """Returns if a caller may set this header to this value; raises BadContent with the rule it breaks."""
    lower = name.lower()
    if not _FTEXT.fullmatch(name) or len(name) > MAX_NAME:
        raise BadContent(
            f"a header name must be 1 to {MAX_NAME} printable ASCII characters without spaces and colons"
        )
    if lower in _DENIED or not (lower in _ALLOWED or lower.startswith(_ALLOWED_PREFIXES)):
        raise BadContent(
            "this header is not among those that may be set (X-*, List-*, References and the like)"
        )
    if CONTROL.search(value):
        raise BadContent("a header value must not contain control characters or line breaks")
    if not value.strip(" "):
        raise BadContent("a header value must not be empty")
    if len(value) > MAX_VALUE:
        raise BadContent(f"a header value must not be longer than {MAX_VALUE} characters")
    if not is_text(lower):
        check_structured(value)


def check_structured(value: str) -> None:
    """What a value that must never be encoded has to be: ASCII, in words that fit a line. Raises BadContent."""
    if not value.isascii():
        raise BadContent("the value of this header must be ASCII")
    if len(value) > MAX_WORD and max(map(len, value.split(" "))) > MAX_WORD:
        raise BadContent(f"a header value must have a space after every {MAX_WORD} characters or sooner")


def is_text(name: str) -> bool:
    """Whether a header holds free text, in which RFC 2047 allows encoded-words; all others are left as they are."""
    lower = name.lower()
    return lower in _TEXT or lower.startswith("x-")
