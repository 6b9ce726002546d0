"""Mail that comes in an EmailSendEvent: read by the rules of POST /email/send, stored once under its eventId.

It needs no hint: whoever took the event takes the mail next. Its producer may save the same mail as a document too, before
or after; then an event may leave out what the document holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any, cast

import msgspec

from posthouse.batch import Full
from posthouse.mail.errors import StoreAway
from posthouse.mail.events import EmailSendEvent
from posthouse.mail.message import Lane
from posthouse.mail.template import Source
from posthouse.queue.base import ForeignEvent, Hint, Unreadable
from posthouse.store.base import EVENT, EVENT_SECONDS, Key
from posthouse.submission.accept import Accept, StillRunning, Submission
from posthouse.submission.compose import Rules, compose, limit_text
from posthouse.submission.pinned import Pin, Pinned, allowing, keeping, pinned_by
from posthouse.submission.problems import Finding, Problem
from posthouse.submission.request import AttachmentRequest, SendRequest

MOST_SHOWN = 1000
LARGE = 1_000_000
"""Characters of a mail beyond which it is checked in a thread, two at a time."""
FIELDS = {"to": "recipient", "from": "sender", "tags": "category", "body": "html"}
"""What events and documents call the fields of a request."""

Named = Callable[[Sequence[str]], Awaitable[dict[str, str]]]
"""Our ids for eventIds, where a mail has them."""


def accept_event(
    accept: Accept, named: Named, rules: Rules, now: Callable[[], int], pin: Pin | None = None
) -> ForeignEvent:
    """Makes records of the mail in events; `accept` hints at nothing, `pin` finds templates of the catalog."""
    two_at_a_time = asyncio.Semaphore(2)

    async def read(event: EmailSendEvent, lane: Lane) -> tuple[Submission, Key]:
        pinned = await pinned_by(pin, event.template)
        if _size(event) <= LARGE:
            return read_event(event, lane, rules, now(), pinned)
        async with two_at_a_time:
            return await asyncio.to_thread(read_event, event, lane, rules, now(), pinned)

    async def store(event: EmailSendEvent, lane: Lane) -> Hint:
        try:
            submission, key = await read(event, lane)
        except Unreadable:
            ids = await named(event.names)
            if not ids:
                raise
            return Hint(lane, tuple(ids.values()))
        try:
            saved = await accept(submission, key)
        except (Full, StillRunning):
            raise StoreAway("the store is behind") from None
        return Hint(saved.message.lane, (saved.message.id,))

    return store


def with_templates(rules: Rules) -> Rules:
    """The same rules; where no templates are known here, any is taken: the worker that sends has them, or says so."""
    return msgspec.structs.replace(rules, find=rules.find or _somewhere)


def _somewhere(id: str) -> Source:
    return Source(subject="", html="")


def event_key(event_id: str, request: SendRequest) -> Key:
    """Under which a mail that its producer named is saved once, whether it comes as a document or in an event."""
    alike = msgspec.structs.replace(request, lane="transactional")
    fingerprint = sha256(msgspec.json.encode(alike, order="deterministic")).digest()
    return Key(EVENT, event_id, fingerprint, EVENT_SECONDS)


def read_event(
    event: EmailSendEvent, lane: Lane, rules: Rules, now: int, pinned: Pinned | None = None
) -> tuple[Submission, Key]:
    """The checked mail of an event that carries one, and its key; raises Unreadable, naming every wrong field. A variable
    that its template misses fails the mail in its record, where its producer hears of it."""
    request = _request(event, lane)
    try:
        limit_text(request, rules.max_text)
    except Problem as problem:
        raise Unreadable(problem.detail) from None
    submission, findings = compose(request, allowing(rules, pinned), now)
    wrong = [f"{_pointer(each.pointer)}: {each.detail}" for each in findings if is_wrong(each)]
    if wrong:
        raise Unreadable("; ".join(wrong)[:MOST_SHOWN])
    submission = msgspec.structs.replace(keeping(submission, pinned), event_id=event.event_id)
    return submission, event_key(event.event_id or "", request)


def is_wrong(finding: Finding) -> bool:
    """Variables may stand there without a template; only what they are can be wrong."""
    return finding.pointer != "/variables"


def _request(event: EmailSendEvent, lane: Lane) -> SendRequest:
    attachments = [
        AttachmentRequest(each.filename, each.content, each.content_type or None)
        for each in event.attachments or ()
    ]
    return SendRequest(
        to=event.recipient or "",
        subject=event.subject or None,
        from_=event.sender or None,
        html=event.html or None,
        text=event.text or None,
        template=event.template or None,
        variables=_whole(event.variables) or None,
        tags=[event.category] if event.category else None,
        attachments=attachments or None,
        lane=lane,
    )


def _whole(value: Any) -> Any:
    """The same JSON with integers for numbers that are whole, as documents have them."""
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_whole(each) for each in cast(list[Any], value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pointer(pointer: str) -> str:
    """`/to` as `/recipient`."""
    name, *steps = pointer.split("/")[1:]
    return "/".join(["", FIELDS.get(name, name), *([] if name in ("to", "tags") else steps)])


def _size(event: EmailSendEvent) -> int:
    texts = len(event.html or "") + len(event.text or "")
    return texts + sum(len(each.content) for each in event.attachments or ())
