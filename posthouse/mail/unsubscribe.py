"""The link by which a person leaves a list, and the token in it: made with each mail, opened when the link is followed.

Rules: a token is a list and an address, sealed (AES-SIV, RFC 5297). Without the key nobody can read one, make one, change
one or put two together, and none has to be kept. It is the same for the same person, list and key, so that a mail that is
made again is the same bytes. RFC 8058 §3: the link is the whole proof of who follows it.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from posthouse.mail.errors import BadContent
from posthouse.mail.message import LANES, Content, Lane, Message

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

LIST: Lane = "bulk"
"""The list that such a link is about."""
PATH = "/u/"
"""What comes before the token in a link."""
HEADERS = ("List-Unsubscribe", "List-Unsubscribe-Post")
"""What a mail with such a link has in its head. Both belong under its signature (RFC 8058 §4)."""
ONE_CLICK = ("List-Unsubscribe", "One-Click")
"""The name and the value that a program posts to the link (RFC 8058 §3.2)."""
MOST = 500
"""Characters of a token: an address has 254 octets at most."""

_LABEL = b"posthouse unsubscribe 1"


class Links(msgspec.Struct, frozen=True, array_like=True):
    """What links are made with: the `url` that people reach us at, without a slash at its end, and the `key`."""

    url: str
    key: bytes

    def to(self, email: str) -> str:
        """The link of a person."""
        return f"{self.url}{PATH}{seal(self.key, LIST, email)}"

    def of(self, content: Content) -> str | None:
        """The link of whoever gets a mail. One to several people has none: each could take the others off the list."""
        boxes = (*content.to, *content.cc, *content.bcc)
        return self.to(boxes[0].email) if len(boxes) == 1 else None


def link_of(links: Links | None, message: Message, content: Content) -> str | None:
    """The link in the head of a mail: of bulk mail only."""
    return links.of(content) if links is not None and message.lane == LIST else None


def key_of(secret: str) -> bytes:
    """The key that a secret of the house gives."""
    return hmac.digest(secret.encode(), _LABEL, "sha512")


def seal(key: bytes, lane: Lane, email: str) -> str:
    """The token of a person and a list."""
    return urlsafe_b64encode(_cipher(key).encrypt(f"{lane}:{email}".encode(), None)).rstrip(b"=").decode()


def opened(keys: Sequence[bytes], token: str) -> tuple[Lane, str] | None:
    """The list and the address of a token that one of these keys has sealed; None for any other word."""
    sealed = _decoded(token)
    for key in keys if sealed else ():
        try:
            lane, _, email = _cipher(key).decrypt(sealed, None).decode().partition(":")
        except (_invalid(), ValueError):
            continue
        return (lane, email) if lane in LANES else None
    return None


def fields(link: str, content: Content) -> str:
    """The fields of a head (RFC 8058 §3.1); none where the caller said something of his own."""
    if any(name.lower() in _NAMES for name in content.headers):
        return ""
    if not link.isascii() or not link.isprintable() or " " in link:
        raise BadContent("the link to unsubscribe cannot stand in a header")
    return f"List-Unsubscribe: <{link}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


_NAMES = frozenset(name.lower() for name in HEADERS)


def _decoded(token: str) -> bytes:
    """Each token is written in one way only."""
    if len(token) > MOST:
        return b""
    try:
        sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return b""
    return sealed if urlsafe_b64encode(sealed).rstrip(b"=").decode() == token else b""


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> "AESSIV":
    """Loaded where the first link is made: it takes time and memory."""
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(key)


def _invalid() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
