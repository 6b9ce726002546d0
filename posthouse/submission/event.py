"""Mail that comes in an EmailSendEvent: read by the rules of POST /email/send, stored once under its eventId.

It needs no hint: whoever took the event takes the mail next.
"""

import asyncio
from collections.abc import Callable

import msgspec

from posthouse.batch import Full
from posthouse.mail.errors import StoreAway
from posthouse.mail.events import EmailSendEvent
from posthouse.mail.message import Lane
from posthouse.queue.base import ForeignEvent, Hint, Unreadable
from posthouse.store.base import EVENT, EVENT_SECONDS, Key
from posthouse.submission.accept import Accept, StillRunning, Submission
from posthouse.submission.compose import Rules, compose, limit_text
from posthouse.submission.problems import Problem
from posthouse.submission.request import AttachmentRequest, SendRequest

MOST_SHOWN = 1000
LARGE = 1_000_000
"""Characters of a mail beyond which it is checked in a thread, two at a time."""
_FIELDS = {"to": "recipient", "from": "sender", "tags": "category", "body": "html"}


def accept_event(accept: Accept, rules: Rules, now: Callable[[], int]) -> ForeignEvent:
    """Makes records of the mail in events; `accept` hints at nothing."""
    two_at_a_time = asyncio.Semaphore(2)

    async def store(event: EmailSendEvent, lane: Lane) -> Hint:
        if _size(event) <= LARGE:
            submission = read_event(event, lane, rules, now())
        else:
            async with two_at_a_time:
                submission = await asyncio.to_thread(read_event, event, lane, rules, now())
        try:
            saved = await accept(submission, Key(EVENT, event.event_id or "", b"", EVENT_SECONDS))
        except (Full, StillRunning):
            raise StoreAway("the store is behind") from None
        return Hint(saved.message.lane, (saved.message.id,))

    return store


def read_event(event: EmailSendEvent, lane: Lane, rules: Rules, now: int) -> Submission:
    """The checked mail of an event that carries one; raises Unreadable, naming every wrong field."""
    request = _request(event, lane)
    try:
        limit_text(request, rules.max_text)
    except Problem as problem:
        raise Unreadable(problem.detail) from None
    submission, findings = compose(request, rules, now)
    if findings:
        wrong = "; ".join(f"{_pointer(each.pointer)}: {each.detail}" for each in findings)
        raise Unreadable(wrong[:MOST_SHOWN])
    return msgspec.structs.replace(submission, event_id=event.event_id)


def _request(event: EmailSendEvent, lane: Lane) -> SendRequest:
    attachments = [
        AttachmentRequest(each.filename, each.content, each.content_type) for each in event.attachments or ()
    ]
    return SendRequest(
        to=event.recipient or "",
        subject=event.subject,
        from_=event.sender,
        html=event.html or None,
        text=event.text or None,
        template=event.template,
        variables=event.variables,
        tags=[event.category] if event.category else None,
        attachments=attachments or None,
        lane=lane,
    )


def _pointer(pointer: str) -> str:
    """`/to` as `/recipient`."""
    name, *steps = pointer.split("/")[1:]
    return "/".join(["", _FIELDS.get(name, name), *([] if name in ("to", "tags") else steps)])


def _size(event: EmailSendEvent) -> int:
    texts = len(event.html or "") + len(event.text or "")
    return texts + sum(len(each.content) for each in event.attachments or ())
