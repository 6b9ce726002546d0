"""Whether a record could have come about: its clock, its times, and its history told again by the lifecycle's table.

Rules: a fault is a sentence that names no content. What a history no longer tells (it is cut at HISTORY entries) is
not held against the record.
"""

from collections.abc import Iterator, Sequence

from posthouse.mail.advance import HISTORY
from posthouse.mail.lifecycle import OPEN, Event, State, advance, allows
from posthouse.mail.message import HistoryEntry, Message, Recipient
from posthouse.mail.notice import MOVES, NOTICE_KINDS

MEANT: dict[str, tuple[Event, ...]] = {
    "sent": ("accept",),
    "deferred": ("defer",),
    "failed": ("fail",),
    "unknown": ("defer", "park"),
    "retry": ("retry",),
    "suppressed": ("suppress",),
    "canceled": ("cancel",),
    "mark_sent": ("mark_sent",),
}
"""What a word of a recipient's history means to the lifecycle: one of these happened. A provider's words are in MOVES."""

_SILENT: tuple[Event, ...] = ("claim", "return", "wait")
"""What happens without a word in the history."""


def faults(message: Message) -> list[str]:
    """All that is wrong with a record; none for a good one."""
    found = [*_clock(message), *_times(message)]
    for number, recipient in enumerate(message.recipients, 1):
        found += [f"recipient {number}: {fault}" for fault in _recipient(message, recipient)]
    return found


def _clock(message: Message) -> Iterator[str]:
    is_open = any(recipient.state in OPEN for recipient in message.recipients)
    if is_open and message.due_at is None:
        yield "it is open but has no due_at: nobody will ever look at it"
    if not is_open and message.due_at is not None:
        yield "it is closed but has a due_at"
    if not is_open and message.owner is not None:
        yield "it is closed but held by a worker"
    if message.owner is None and any(recipient.state == "sending" for recipient in message.recipients):
        yield "a recipient is being sent to but no worker holds it"


def _times(message: Message) -> Iterator[str]:
    if message.status == "SENT" and message.sent_at is None:
        yield "it is SENT but has no sent_at"
    if message.status == "FAILED" and message.failed_at is None:
        yield "it is FAILED but has no failed_at"
    if [entry.event for entry in message.history[:1]] != ["accepted"]:
        yield "its history does not begin with accepted"


def _recipient(message: Message, recipient: Recipient) -> Iterator[str]:
    told = [entry for entry in message.history if entry.recipient == recipient.email]
    possible = frozenset[State]({"pending"})
    for entry in told:
        possible = _after(possible, entry)
        if not possible:
            yield f"its history cannot be: {' → '.join(each.event for each in told)}"
            return
    if len(message.history) < HISTORY:
        yield from _sums(recipient, told, possible)


def _sums(recipient: Recipient, told: Sequence[HistoryEntry], possible: frozenset[State]) -> Iterator[str]:
    """What the history adds up to, against what stands in the record."""
    if recipient.state not in _silently(possible):
        yield f"it is {recipient.state}, but its history ends in {' or '.join(sorted(possible))}"
    tries = [entry for entry in told if entry.attempt is not None]
    if recipient.attempts != max((entry.attempt or 0 for entry in tries), default=0):
        yield f"it counts {recipient.attempts} attempts, its history {len(tries)}"
    unknown = sum(entry.event == "unknown" for entry in tries)
    if recipient.uncertain != unknown:
        yield f"it counts {recipient.uncertain} unknown outcomes, its history {unknown}"


def _after(states: frozenset[State], entry: HistoryEntry) -> frozenset[State]:
    """The states that a recipient may be in after an entry of its history; empty where it cannot have happened."""
    before = _silently(states)
    if entry.event not in NOTICE_KINDS or entry.attempt is not None:
        return _moved(before, MEANT.get(entry.event, ()))
    event = MOVES.get(entry.event)
    if event is None:
        return before
    unmoved: list[State] = [state for state in before if not allows(state, event)]
    return _moved(before, (event,)) | frozenset(unmoved)


def _silently(states: frozenset[State]) -> frozenset[State]:
    """With the states that claims and their return lead to."""
    more = states | _moved(states, _SILENT)
    return states if more == states else _silently(more)


def _moved(states: frozenset[State], events: tuple[Event, ...]) -> frozenset[State]:
    moved: list[State] = [
        advance(state, event) for event in events for state in states if allows(state, event)
    ]
    return frozenset(moved)
