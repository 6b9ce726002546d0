"""Makes a checked mail of a request: the rules beyond types, all of them asked, so that every wrong field is named.

Rules: each address once (the first of to, cc, bcc keeps it); a body that looks like HTML is HTML; a scheduled time
that is over means now. What a mail may hold is said by mail.mime.check, not here.
"""

import mimetypes
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from posthouse.mail.address import CONTROL, parse_mailbox
from posthouse.mail.errors import BadAddress
from posthouse.mail.message import Attachment, Content, Mailbox, Recipient, RecipientKind
from posthouse.mail.mime import MAX_SUBJECT, check
from posthouse.mail.plain import looks_like_html
from posthouse.submission.accept import Submission
from posthouse.submission.problems import Finding, Problem, pointer
from posthouse.submission.request import MAX_RECIPIENTS, MAX_TAG, MAX_TAGS, AttachmentRequest, SendRequest
from posthouse.submission.templated import Find, template_faults
from posthouse.submission.times import microseconds

_KINDS: tuple[RecipientKind, ...] = ("to", "cc", "bcc")

Note = Callable[[str, str], None]
"""Takes a finding: pointer and detail."""


_NOT_PLAIN = re.compile(rb"\\[ubf]")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """`sender` writes mail that names no other; `domains` (lower-case A-labels) are those it may be from, empty for
    any; `max_text` bounds subject, headers, text and html of one mail, in bytes; `find` finds templates, if there are
    any."""

    sender: Mailbox
    domains: frozenset[str] = frozenset()
    max_text: int = 10_000_000
    find: Find | None = None


def compose(
    request: SendRequest, rules: Rules, now: int, *, plain: bool = False
) -> tuple[Submission, list[Finding]]:
    """The mail, and all that is wrong with it (then the mail is not to be used). `now` in microseconds; `plain` says
    that its JSON was `is_plain`."""
    findings: list[Finding] = []

    def note(where: str, detail: str) -> None:
        findings.append(Finding(where, detail))

    content = _content(request, rules, note)
    if not (plain and _is_simple(content)):
        findings += _of_content(content, request, findings)
    content, recipients = _once_each(content, note)
    late = "must be later than now and than scheduled_at"
    scheduled_at, expires_at = times_of(
        request.scheduled_at, request.expires_at, now, lambda: note("/expires_at", late)
    )
    submission = Submission(
        content=content,
        recipients=recipients,
        lane=request.lane,
        tags=_tags(request.tags, note) if request.tags else (),
        scheduled_at=scheduled_at,
        expires_at=expires_at,
    )
    return submission, findings


def is_plain(raw: bytes) -> bool:
    """Whether no string of this JSON can hold half of a surrogate pair, or a C0 control but TAB, CR and LF: those
    come only as escapes, and none of these is here."""
    return b"\\" not in raw or _NOT_PLAIN.search(raw) is None


def limit_text(request: SendRequest, most: int) -> None:
    """Raises Problem (413) when subject, headers, text and html are more than `most` bytes together."""
    texts = [request.subject, request.body, request.html, request.text]
    for name, value in (request.headers or {}).items():
        texts += name, value
    total = sum(len(text) for text in texts if text)
    if total > most or sum(len(text.encode()) for text in texts if text) > most:
        raise Problem("too-large", f"Subject, headers, text and html must not exceed {most} bytes together.")


def _content(request: SendRequest, rules: Rules, note: Note) -> Content:
    html, text = _bodies(request, note)
    if request.template is not None or request.variables is not None:
        for where, detail in template_faults(request, rules.find):
            note(where, detail)
    return Content(
        sender=rules.sender if request.from_ is None else sender_of(request.from_, rules.domains, note),
        to=_mailboxes("to", request.to, note, needed=True),
        cc=() if request.cc is None else _mailboxes("cc", request.cc, note),
        bcc=() if request.bcc is None else _mailboxes("bcc", request.bcc, note),
        reply_to=() if request.reply_to is None else _mailboxes("reply_to", request.reply_to, note),
        subject=_subject(request, note),
        html=html,
        text=text,
        headers=request.headers or {},
        attachments=tuple(map(_attachment, request.attachments)) if request.attachments else (),
        template=request.template,
        variables=request.variables or {},
    )


def _subject(request: SendRequest, note: Note) -> str:
    """ "" where the template's is to be taken."""
    subject = request.subject
    if subject is None:
        if request.template is None:
            note("/subject", "this field is required")
        return ""
    if not subject or subject.isspace():
        note("/subject", "must not be empty")
    return subject


def _bodies(request: SendRequest, note: Note) -> tuple[str | None, str | None]:
    """Html and text. An empty text beside html is the same as none: it is derived."""
    body, html, text = request.body, request.html, request.text
    if body is None and html is None and text is None:
        if request.template is None:
            note("/body", "one of body, html, text is required")
        return None, None
    if body is not None and (html is not None or text is not None):
        note("/body", "body cannot go together with html or text")
    if html is not None and text == "":
        text = None
    for name, value in (("body", body), ("html", html), ("text", text)):
        if value is not None and (not value or value.isspace()):
            note(f"/{name}", "must not be empty")
    if body is None:
        return html, text
    return (body, None) if looks_like_html(body) else (None, body)


def sender_of(text: str, domains: frozenset[str], note: Note) -> Mailbox:
    """The mailbox of `/from`, of a domain that may be sent from."""
    mailbox = mailbox_of(text, "/from", note)
    if mailbox.email and domains and mailbox.email.rpartition("@")[2] not in domains:
        note("/from", "this domain is not among those that this server may send from")
    return mailbox


def _mailboxes(
    field: str, given: str | Sequence[str], note: Note, *, needed: bool = False
) -> tuple[Mailbox, ...]:
    if isinstance(given, str):
        return (mailbox_of(given, f"/{field}", note),)
    if needed and not given:
        note(f"/{field}", "must name at least one address")
    if len(given) > MAX_RECIPIENTS:
        note(f"/{field}", f"must not name more than {MAX_RECIPIENTS} addresses")
        return ()
    return tuple([mailbox_of(text, f"/{field}/{n}", note) for n, text in enumerate(given)])


def mailbox_of(text: str, where: str, note: Note) -> Mailbox:
    """The mailbox that is written there; an empty one, and a note, where none is."""
    try:
        return parse_mailbox(text)
    except BadAddress as error:
        note(where, error.text)
        return Mailbox("")


def _attachment(asked: AttachmentRequest) -> Attachment:
    name = asked.filename
    guessed = mimetypes.types_map.get(name[name.rfind(".") :].lower(), "application/octet-stream")
    return Attachment(name, asked.content, asked.content_type or guessed, asked.content_id)


def _once_each(content: Content, note: Note) -> tuple[Content, list[Recipient]]:
    """The content with each address in one list only, and its recipients."""
    if len(content.to) == 1 and not content.cc and not content.bcc:
        return content, [Recipient(content.to[0].email)]
    seen: dict[str, Recipient] = {}
    lists = {"to": content.to, "cc": content.cc, "bcc": content.bcc}
    kept = {kind: tuple(_new(lists[kind], kind, seen)) for kind in _KINDS}
    if len(seen) > MAX_RECIPIENTS:
        counts = [("to", len(kept["to"])), ("cc", len(kept["to"]) + len(kept["cc"])), ("bcc", len(seen))]
        field = next(kind for kind, count in counts if count > MAX_RECIPIENTS)
        note(f"/{field}", f"to, cc and bcc must not name more than {MAX_RECIPIENTS} addresses together")
    if kept != lists:
        content = msgspec.structs.replace(content, **kept)
    return content, list(seen.values())


def _new(boxes: Iterable[Mailbox], kind: RecipientKind, seen: dict[str, Recipient]) -> Iterable[Mailbox]:
    for mailbox in boxes:
        if mailbox.email not in seen:
            seen[mailbox.email] = Recipient(mailbox.email, kind)
            yield mailbox


def _tags(tags: Sequence[str], note: Note) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS:
        note("/tags", f"there must not be more than {MAX_TAGS} tags")
        return ()
    for n, tag in enumerate(tags):
        if not 0 < len(tag) <= MAX_TAG or CONTROL.search(tag):
            note(f"/tags/{n}", f"a tag must have 1 to {MAX_TAG} characters and no control characters")
    return tuple(dict.fromkeys(tags))


def times_of(
    scheduled_at: datetime | None, expires_at: datetime | None, now: int, wrong: Callable[[], None]
) -> tuple[int | None, int | None]:
    """Both in microseconds; a scheduled time that is over is none. `wrong` is called where the end is not later."""
    scheduled = None if scheduled_at is None else microseconds(scheduled_at)
    if scheduled is not None and scheduled <= now:
        scheduled = None
    expires = None if expires_at is None else microseconds(expires_at)
    if expires is not None and expires <= (scheduled or now):
        wrong()
    return scheduled, expires


def _is_simple(content: Content) -> bool:
    """Whether mail.mime.check can find nothing in the content of a plain request: most mail, and a fifth of what
    accepting it costs (measured: 20 of 100 µs)."""
    subject = content.subject
    boxes = (*content.to, *content.cc, *content.bcc, *content.reply_to)
    return (
        subject.isascii()
        and subject.isprintable()
        and len(subject) <= MAX_SUBJECT
        and not content.headers
        and not content.attachments
        and not content.sender.name
        and not any(box.name for box in boxes)
    )


def _of_content(content: Content, request: SendRequest, known: Sequence[Finding]) -> list[Finding]:
    """What mail.mime.check finds, save where something was found before (an address that could not be read)."""
    faults = check(content)
    if not faults:
        return []
    noted = {finding.pointer for finding in known}
    asked = (Finding(_as_asked(request, where), detail) for where, detail in faults)
    return [finding for finding in asked if finding.pointer not in noted]


def _as_asked(request: SendRequest, where: str) -> str:
    """A pointer into the content as one into the request: `body` for html and text, `to` where it was one string."""
    steps = where.split("/")
    if steps[1] in ("html", "text") and request.body is not None:
        return "/body"
    if len(steps) == 3 and isinstance(getattr(request, steps[1], None), str):
        return pointer(steps[1])
    return where
