"""Mails of one template, one after the other: straight to their bytes, for what is constant in them is encoded only once.

Rule: they are what `template.render` and `mime.write` make, to the byte.
"""

from typing import Literal

import msgspec

from posthouse.mail.message import Content, Message
from posthouse.mail.mime import check_body, check_subject, write, write_parts
from posthouse.mail.mime_part import Part, text_part
from posthouse.mail.plain import text_of
from posthouse.mail.stretch import part_of
from posthouse.mail.template import Filled, Text, refuse


def write_filled(message: Message, content: Content, filled: Filled, unsubscribe: str | None = None) -> bytes:
    """The mail of a content with what a template gave. Raises BadTemplate, and what mime.write raises."""
    if content.attachments:
        return write(message, filled.into(content), unsubscribe)
    refuse(check_subject(filled.subject))
    html, text = filled.html and _part("html", filled.html), filled.text
    if filled.html is not None and text is None:
        text = Text([text_of(str(filled.html))], {})
    if text is not None and html is not None and not any(text.pieces):
        text = None
    named = msgspec.structs.replace(content, subject=filled.subject)
    return write_parts(message, named, text and _part("plain", text), html, unsubscribe)


def _part(kind: Literal["plain", "html"], text: Text) -> Part:
    part = part_of(kind, text.pieces, text.known)
    if part is None:
        refuse(check_body("text" if kind == "plain" else kind, str(text)))
        part = text_part(kind, str(text))
    return part
