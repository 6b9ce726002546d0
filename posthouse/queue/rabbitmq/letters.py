"""What stands in our messages: hints as EmailSendEvents that name documents, and what others wrote as Structs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from aio_pika import DeliveryMode, Message

from posthouse.mail.events import MOST_IDS, EmailSendEvent
from posthouse.mail.message import LANES, Lane
from posthouse.queue.base import Hint, Unreadable

JSON = "application/json"
MOST_SHOWN = 1000
"""Characters of a reason."""

Event = TypeVar("Event", bound=msgspec.Struct)


def letter(event: msgspec.Struct) -> Message:
    """An event as a message that survives a restart of the broker."""
    return plain_letter(msgspec.json.encode(event))


def plain_letter(body: bytes, headers: Mapping[str, Any] | None = None) -> Message:
    """The same for bytes that are there already."""
    return Message(
        body, headers=dict(headers or {}), content_type=JSON, delivery_mode=DeliveryMode.PERSISTENT
    )


def hints_as_events(hints: Sequence[Hint]) -> Iterator[tuple[Lane, EmailSendEvent]]:
    """All ids of a lane in as few events as they fit. A hint without ids has no event: the second door is its answer."""
    for lane in LANES:
        ids = list(dict.fromkeys(id for hint in hints if hint.lane == lane for id in hint.ids))
        for start in range(0, len(ids), MOST_IDS):
            some = ids[start : start + MOST_IDS]
            yield (
                lane,
                (EmailSendEvent(event_id=some[0]) if len(some) == 1 else EmailSendEvent(event_ids=some)),
            )


def read(body: bytes, kind: type[Event]) -> Event:
    """The event in a message; raises Unreadable."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Unreadable(str(error)[:MOST_SHOWN]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("it is not JSON") from None


def check(event: EmailSendEvent) -> EmailSendEvent:
    """What types cannot say; raises Unreadable."""
    if event.event_id is None and event.carries:
        raise Unreadable("eventId is missing")
    if not event.names:
        raise Unreadable("neither eventId nor eventIds names a mail")
    if not event.carries and any((event.subject, event.html, event.text, event.template)):
        raise Unreadable("recipient is missing")
    return event
