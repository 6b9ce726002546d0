"""A mail as bytes (RFC 5322, RFC 2045 to 2049): what the record says and nothing else, so a resend is the same mail.

Rules: CRLF line ends, no line over 998 octets, 7-bit ASCII; only an address that is not ASCII makes its header UTF-8
(RFC 6532). No clock and no chance: Date is the scheduled time, else that of creation; Message-ID is the record's;
boundaries come from its id. Never a Bcc.
"""

import re
import time
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import cast

from posthouse.mail.address import CONTROL, MAX_NAME
from posthouse.mail.errors import BadContent, MailError
from posthouse.mail.headers import check_header, is_text
from posthouse.mail.message import SECOND, Content, Mailbox, Message
from posthouse.mail.mime_field import (
    mailboxes_field,
    sender_field,
    show_mailbox,
    structured_field,
    text_field,
)
from posthouse.mail.mime_part import Part, attachment_faults, attachment_part, multipart, text_part
from posthouse.mail.plain import text_of
from posthouse.mail.unsubscribe import fields as unsubscribe_fields

MAX_SUBJECT = 998
"""Characters of a subject."""
MAX_HEADERS = 50
MAX_ATTACHMENTS = 100

_MESSAGE_ID = re.compile(r"<?([!-;=?-~]{1,900})>?")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_C0 = tuple(chr(code) for code in range(32) if chr(code) not in "\t\r\n")


def write(message: Message, content: Content, unsubscribe: str | None = None) -> bytes:
    """The whole mail, ending with CRLF, not dot-stuffed. `content` is rendered: its html or text is there. `unsubscribe`
    is the link by which whoever gets it leaves the list (mail.unsubscribe).

    Raises BadContent (or BadAddress) for what `check` would have named."""
    try:
        body = _body(content, _boundary(message))
    except UnicodeEncodeError:
        raise _not_unicode() from None
    return _assembled(message, content, unsubscribe, body)


def write_parts(
    message: Message, content: Content, text: Part | None, html: Part | None, unsubscribe: str | None = None
) -> bytes:
    """The same of a content without attachments, whose text and html are parts already."""
    return _assembled(message, content, unsubscribe, _alternatives(text, html, _boundary(message)))


def _boundary(message: Message) -> str:
    return "=_" + blake2b(message.id.encode(), digest_size=12).hexdigest()


def _assembled(message: Message, content: Content, unsubscribe: str | None, body: Part) -> bytes:
    try:
        head = _head(message, content, unsubscribe).encode()
    except UnicodeEncodeError:
        raise _not_unicode() from None
    headers, pieces = body
    end = b"" if pieces[-1].endswith(b"\r\n") else b"\r\n"
    return b"".join((head, b"MIME-Version: 1.0\r\n", headers, b"\r\n", *pieces, end))


def _not_unicode() -> BadContent:
    return BadContent("the text holds half of a surrogate pair: it is not valid Unicode")


def check(content: Content) -> list[tuple[str, str]]:
    """Everything that is wrong with a content: (JSON Pointer, detail) pairs; details repeat nothing of it."""
    return [
        *_wrong_mailboxes(content),
        *check_text(content),
        *_wrong_headers(content.headers),
        *_wrong_attachments(content),
    ]


def check_text(content: Content) -> Iterator[tuple[str, str]]:
    """What is wrong with subject, html and text, as `check` has it: all of a content that a template gives."""
    yield from check_subject(content.subject)
    for field, text in (("html", content.html), ("text", content.text)):
        if text is not None:
            yield from check_body(field, text)


def check_subject(subject: str) -> Iterator[tuple[str, str]]:
    """The same of a subject."""
    if CONTROL.search(subject):
        yield "/subject", "a subject must not contain control characters or line breaks"
    if len(subject) > MAX_SUBJECT:
        yield "/subject", f"a subject must not be longer than {MAX_SUBJECT} characters"


def check_body(field: str, text: str) -> Iterator[tuple[str, str]]:
    """The same of html or text."""
    if any(map(text.__contains__, _C0)):
        yield f"/{field}", "control characters other than TAB, CR and LF are not allowed"
    if not _is_unicode(text):
        yield f"/{field}", "it holds half of a surrogate pair: it is not valid Unicode"


def _head(message: Message, content: Content, unsubscribe: str | None) -> str:
    when = message.created_at if message.scheduled_at is None else message.scheduled_at
    fields = [_date_field(when // SECOND), sender_field("From", content.sender)]
    if content.to:
        fields.append(mailboxes_field("To", content.to))
    elif not content.cc:
        fields.append("To: undisclosed-recipients:;\r\n")
    if content.cc:
        fields.append(mailboxes_field("Cc", content.cc))
    if content.reply_to:
        fields.append(mailboxes_field("Reply-To", content.reply_to))
    fields.append(text_field("Subject", content.subject))
    fields.append(f"Message-ID: <{_bare_message_id(message.message_id)}>\r\n")
    if unsubscribe is not None:
        fields.append(unsubscribe_fields(unsubscribe, content))
    for name, value in content.headers.items():
        check_header(name, value)
        fields.append(text_field(name, value) if is_text(name) else structured_field(name, value))
    return "".join(fields)


def _body(content: Content, boundary: str) -> Part:
    """The tree of parts: mixed(alternative(text, related(html, inline parts)), files), each level only if needed."""
    inline: list[Part] = []
    files: list[Part] = []
    for attachment in content.attachments:
        belongs_to_html = attachment.content_id is not None and content.html is not None
        (inline if belongs_to_html else files).append(attachment_part(attachment))
    body = _readable(content, boundary, inline)
    return multipart("mixed", boundary + ".m", [body, *files]) if files else body


def _readable(content: Content, boundary: str, inline: list[Part]) -> Part:
    html, text = content.html, content.text
    page = None if html is None else text_part("html", html)
    if page is not None and inline:
        page = multipart("related", boundary + ".r", [page, *inline])
    if html is not None and text is None:
        text = text_of(html)
    bare = None if text is None or (html is not None and not text) else text_part("plain", text)
    return _alternatives(bare, page, boundary)


def _alternatives(text: Part | None, html: Part | None, boundary: str) -> Part:
    if text is not None and html is not None:
        return multipart("alternative", boundary + ".a", [text, html])
    if text is None and html is None:
        raise BadContent("there is neither text nor html to write")
    return cast(Part, text or html)


@lru_cache(maxsize=64)
def _date_field(seconds: int) -> str:
    t = time.gmtime(seconds)
    day = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d}"
    return f"Date: {day} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} +0000\r\n"


def _bare_message_id(message_id: str) -> str:
    bare = _MESSAGE_ID.fullmatch(message_id)
    if bare is None:
        raise BadContent("the record's Message-ID is not one")
    return bare[1]


def _wrong_mailboxes(content: Content) -> Iterator[tuple[str, str]]:
    lists = (("to", content.to), ("cc", content.cc), ("bcc", content.bcc), ("reply_to", content.reply_to))
    named = [("/from", content.sender)]
    named += [(f"/{field}/{n}", mailbox) for field, boxes in lists for n, mailbox in enumerate(boxes)]
    for pointer, mailbox in named:
        detail = _wrong_mailbox(mailbox)
        if detail:
            yield pointer, detail


def _wrong_mailbox(mailbox: Mailbox) -> str | None:
    if len(mailbox.name) > MAX_NAME:
        return f"a name must not be longer than {MAX_NAME} characters"
    try:
        show_mailbox(mailbox)
    except MailError as error:
        return error.text
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_headers(headers: dict[str, str]) -> Iterator[tuple[str, str]]:
    if len(headers) > MAX_HEADERS:
        yield "/headers", f"there must not be more than {MAX_HEADERS} headers"
        return
    seen: set[str] = set()
    for name, value in headers.items():
        pointer = "/headers/" + name.replace("~", "~0").replace("/", "~1")
        try:
            check_header(name, value)
        except BadContent as error:
            yield pointer, error.text
        if name.lower() in seen:
            yield pointer, "this header is given twice"
        seen.add(name.lower())


def _wrong_attachments(content: Content) -> Iterator[tuple[str, str]]:
    if len(content.attachments) > MAX_ATTACHMENTS:
        yield "/attachments", f"there must not be more than {MAX_ATTACHMENTS} attachments"
        return
    for n, attachment in enumerate(content.attachments):
        for field, detail in attachment_faults(attachment):
            yield f"/attachments/{n}/{field}", detail
