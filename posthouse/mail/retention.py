"""How long mail is kept: which may be forgotten, and what is left of a content whose body is.

Rules: what has anything open is kept, however old. Age counts from the date of a mail: when it was accepted, or the time
that it was scheduled for, whichever is later. Neither ever changes, so nothing that happens to a mail prolongs it.
"""

import msgspec

from posthouse.mail.identity import made_at
from posthouse.mail.message import Content, Message


def may_go(message: Message, before: int) -> bool:
    """Whether a message has nothing open and a date before this one (microseconds)."""
    return max(message.created_at, message.scheduled_at or 0) < before and not message.open


def head(content: Content) -> Content:
    """What is left: from whom, to whom, about what."""
    return msgspec.structs.replace(
        content, html=None, text=None, headers={}, attachments=(), template=None, variables={}
    )


def has_body(content: Content | None) -> bool:
    """Whether there is still something to send."""
    return content is not None and (content.html, content.text, content.template) != (None, None, None)


def precedes(cursor: str, oldest: int | None) -> bool:
    """Whether a cursor that leads nowhere is an id of ours that can have stood before the oldest record, which was
    created then (None where there is no record). Where records have gone, the list ends there."""
    made = made_at(cursor)
    return made is not None and (oldest is None or made <= oldest)
