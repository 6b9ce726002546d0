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
        head = _head(message, content, unsubscribe)
        headers, body = _body(content, "=_" + blake2b(message.id.encode(), digest_size=12).hexdigest())
    except UnicodeEncodeError:
        raise BadContent("the text holds half of a surrogate pair: it is not valid Unicode") from None
    end = b"" if body[-1].endswith(b"\r\n") else b"\r\n"
    return b"".join((head.encode(), b"MIME-Version: 1.0\r\n", headers, b"\r\n", *body, end))


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
    if CONTROL.search(content.subject):
        yield "/subject", "a subject must not contain control characters or line breaks"
    if len(content.subject) > MAX_SUBJECT:
        yield "/subject", f"a subject must not be longer than {MAX_SUBJECT} characters"
    for field, text in (("html", content.html), ("text", content.text)):
        if text is None:
            continue
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
    if html is None:
        if text is None:
            raise BadContent("there is neither text nor html to write")
        return text_part("plain", text)
    page = text_part("html", html)
    if inline:
        page = multipart("related", boundary + ".r", [page, *inline])
    if text is None:
        text = text_of(html)
    if not text:
        return page
    return multipart("alternative", boundary + ".a", [text_part("plain", text), page])


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
