"""A content as a store keeps it: written once as MessagePack, beside it what a list shows where it is large."""

import msgspec

from posthouse.mail.message import Content, Message
from posthouse.store.base import BODY_SHOWN, Listed

SMALL = 16_384
"""Bytes of a content that lists read whole."""

_CONTENT = msgspec.msgpack.Decoder(Content)


def encode(content: Content) -> tuple[bytes | None, bytes]:
    """What is shown of it (None where that is all of it), and all of it."""
    data = msgspec.msgpack.encode(content)
    return None if len(data) <= SMALL else msgspec.msgpack.encode(_shown(content)), data


def decode(data: bytes) -> Content:
    """Either of the two."""
    return _CONTENT.decode(data)


def listed(message: Message, data: bytes | None) -> Listed:
    """An item of a list; None where retention has taken the content."""
    if data is None:
        return Listed(message, None)
    content = decode(data)
    if max(len(content.html or ""), len(content.text or "")) <= BODY_SHOWN:
        return Listed(message, content)
    return Listed(message, _cut(content, BODY_SHOWN), truncated=True)


def _shown(content: Content) -> Content:
    """Without what no list shows; one character more than is shown tells that there was more."""
    cut = _cut(content, BODY_SHOWN + 1)
    return msgspec.structs.replace(cut, attachments=(), headers={}, variables={})


def _cut(content: Content, characters: int) -> Content:
    return msgspec.structs.replace(
        content,
        html=content.html and content.html[:characters],
        text=content.text and content.text[:characters],
    )
