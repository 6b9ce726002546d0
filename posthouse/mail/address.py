"""Addresses: read from what callers write, brought to the one form that is kept, and written for people to read.

Rules: RFC 5321 lengths, in octets; dot-atom local parts only (no quotes, no literals); the domain as lower-case A-labels
(IDNA 2008), the local part as it was written, in NFC where it is not ASCII (RFC 6532 §3.1). Nothing is asked of DNS. The names kept for tests and inner networks (.test,
.local, .invalid, localhost) are taken, in ASCII. No error repeats what was given.
"""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from posthouse.mail.errors import BadAddress
from posthouse.mail.message import Mailbox

MAX_EMAIL = 254
MAX_LOCAL = 64
MAX_NAME = 256
"""Characters of a display name."""

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What no address, name or header may hold: C0, DEL, C1, the line separators, and halves of surrogate pairs."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_UTEXT = rf"(?:{_ATEXT}|[\x80-\U0010ffff])"
_LOCAL = re.compile(rf"{_UTEXT}+(?:\.{_UTEXT}+)*")
# A plain address: no label longer than 63 or with hyphens in places three and four (xn-- and what looks like it),
# a last label that ends with a letter, and none of the names that email-validator refuses, save ours.
_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN = re.compile(
    rf"{_ATEXT}+(?:\.{_ATEXT}+)*@(?:(?:{_LABEL}\.)+(?!(?i:arpa|onion)$)(?=.*[A-Za-z]$){_LABEL}|(?i:localhost))"
)
_ATOMS = re.compile(rf"{_ATEXT}+(?: {_ATEXT}+)*")
_SPECIAL = re.compile(r'[()<>\[\]:;@\\,."]|^ | $')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def parse_mailbox(text: str) -> Mailbox:
    """Reads `ann@example.org`, `Ann <ann@example.org>` or `"Ann, Dr." <ann@example.org>` (RFC 5322 §3.4).

    Raises BadAddress, also for two addresses, unbalanced quotes or brackets, and control characters."""
    if _is_plain(text):
        return Mailbox(_lower(text))
    if CONTROL.search(text):
        raise BadAddress("an address must not contain control characters")
    text = text.strip(" ")
    if not text.endswith(">"):
        if "<" in text or ">" in text:
            raise BadAddress("the angle brackets of an address do not match, or something follows them")
        return Mailbox(normalise(text))
    name, bracket, email = text[:-1].rpartition("<")
    if not bracket or ">" in email:
        raise BadAddress("the angle brackets of an address do not match")
    return Mailbox(normalise(email.strip(" ")), _read_name(name.strip(" ")))


def format_mailbox(mailbox: Mailbox) -> str:
    """The mailbox as people read it, the name in quotes where RFC 5322 §3.2.4 wants them; parse_mailbox reads it."""
    name = mailbox.name
    if not name:
        return mailbox.email
    if _SPECIAL.search(name):
        name = quote(name)
    return f"{name} <{mailbox.email}>"


def quote(text: str) -> str:
    """`text` as a quoted-string (RFC 5322 §3.2.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def is_phrase(name: str) -> bool:
    """Whether `name` may stand before an address without quotes: ASCII atoms with single spaces between."""
    return _ATOMS.fullmatch(name) is not None


def normalise(email: str) -> str:
    """The one form of an address that is kept: local part as written, domain as lower-case A-labels.

    Raises BadAddress. Plain ASCII addresses take a short way, which agrees with email-validator."""
    if _is_plain(email):
        return _lower(email)
    try:
        checked = validate_email(
            email,
            strict=True,
            check_deliverability=False,
            test_environment=True,  # takes .test; `_why` still refuses a domain without a dot
        )
    except (EmailNotValidError, ValueError):  # ValueError: what idna itself raises for hopeless input
        raise BadAddress(_why(email)) from None
    local, domain = email.rpartition("@")[0], checked.ascii_domain or ""
    if not local.isascii():
        local = checked.local_part
    kept = f"{local}@{domain}"
    if "." not in domain or len(local.encode()) > MAX_LOCAL or len(kept.encode()) > MAX_EMAIL:
        raise BadAddress(_why(email))
    return kept


def folded(email: str) -> str:
    """The form in which addresses are compared: two that differ in case only are one mailbox nearly everywhere."""
    return email.lower()


def _is_plain(email: str) -> bool:
    if len(email) > MAX_EMAIL or email.find("@") > MAX_LOCAL:
        return False
    return _PLAIN.fullmatch(email) is not None


def _lower(email: str) -> str:
    local, _, domain = email.partition("@")
    return f"{local}@{domain.lower()}"


def _read_name(name: str) -> str:
    quoted = _QUOTED.fullmatch(name)
    if quoted:
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    elif '"' in name:
        raise BadAddress("the quotes around a name do not match, or there is more than one address")
    elif re.search("[<>,;:@]", name):
        raise BadAddress(
            "there must be one address only, and a name with any of < > , ; : @ must be in quotes"
        )
    if len(name) > MAX_NAME:
        raise BadAddress(f"a name must not be longer than {MAX_NAME} characters")
    return name


def _why(email: str) -> str:
    """What is wrong with an address, in words of ours: the library's would repeat parts of it."""
    local, at, domain = email.rpartition("@")
    reasons = (
        (not at, "an address needs an @"),
        (not local, "an address needs something before its @"),
        (not domain, "an address needs a domain after its @"),
        ("@" in local and '"' not in local, "there must be one address only, with one @"),
        ('"' in local, "an address must not have quotes before its @"),
        (not _is_local(local), "an address has something before its @ that must not be there"),
        (_octets(local) > MAX_LOCAL, f"an address must not have more than {MAX_LOCAL} octets before its @"),
        (
            _octets(local) + 1 + len(domain) > MAX_EMAIL,
            f"an address must not be longer than {MAX_EMAIL} octets",
        ),
        (domain.startswith("["), "an address must have a domain name after its @, not an IP address"),
        ("." not in domain, "the domain of an address needs a dot"),
    )
    return next((text for wrong, text in reasons if wrong), "the domain of an address is not valid")


def _is_local(local: str) -> bool:
    """A dot-atom of visible characters, the first of which is no mark that belongs to one before it."""
    return bool(_LOCAL.fullmatch(local)) and local.isprintable() and unicodedata.category(local[0])[0] != "M"


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
