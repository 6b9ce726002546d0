"""The life of one recipient: a table of states and events, and nothing beside it.

The law:
1. Everything that affects a recipient's state stands in this file. No adapter, SQL file, page or handler
   spells a transition; whoever writes a state writes what `advance` answered.
2. A pair that is missing in TABLE is illegal and raises `IllegalTransition`.
3. Truth is per recipient. A message's state is a fold of its recipients' states (`fold`), never kept by hand.
4. The table holds what really happens: the webhook that beats the worker's own write, the double webhook, the
   late bounce after delivered, outcomes on `pending` (foreign workers never claim), the dead worker.
5. Open states are owed work, so their message has a `due_at`. Closed states are final for the clock; only a
   person or a provider moves them.

The outer words (PENDING, SENT, FAILED) are those of the seed endpoints, of events and of Elasticsearch.
"""

from collections.abc import Iterable
from typing import Literal, get_args

State = Literal[
    "pending",
    "sending",
    "deferred",
    "sent",
    "unknown",
    "delivered",
    "bounced",
    "complained",
    "failed",
    "suppressed",
    "canceled",
]

Event = Literal[
    "claim",  # a worker leased the message (or took over a lapsed lease)
    "return",  # given back untried: nothing was spent and nothing had been tried before
    "wait",  # given back, nothing spent, but it had been tried before
    "accept",  # the next hop took it
    "defer",  # not now: it is tried again at a time
    "fail",  # final: refused, or its budget is spent
    "park",  # outcome unknown and not to be resent by itself
    "deliver",  # a provider says: in the mailbox
    "bounce",  # a provider says: came back
    "complain",  # a provider says: marked as spam
    "retry",  # a person wants it sent again
    "mark_sent",  # a person settled an unknown
    "suppress",  # its address is on the suppression list
    "cancel",  # a person no longer wants it sent
]

Status = Literal["PENDING", "SENT", "FAILED"]

STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)

OPEN: frozenset[State] = frozenset({"pending", "sending", "deferred"})

TABLE: dict[Event, dict[State, State]] = {
    "claim": {"pending": "sending", "deferred": "sending", "sending": "sending"},
    "return": {"sending": "pending"},
    "wait": {"sending": "deferred"},
    "accept": {
        "pending": "sent",
        "sending": "sent",
        "deferred": "sent",
        "sent": "sent",
        "unknown": "sent",
        "canceled": "sent",
        "delivered": "delivered",
        "bounced": "bounced",
        "complained": "complained",
    },
    "defer": {
        "pending": "deferred",
        "sending": "deferred",
        "deferred": "deferred",
        "sent": "sent",
        "delivered": "delivered",
        "bounced": "bounced",
        "complained": "complained",
        "canceled": "canceled",
    },
    "fail": {
        "pending": "failed",
        "sending": "failed",
        "deferred": "failed",
        "failed": "failed",
        "sent": "sent",
        "delivered": "delivered",
        "bounced": "bounced",
        "complained": "complained",
        "canceled": "canceled",
    },
    "park": {
        "pending": "unknown",
        "sending": "unknown",
        "deferred": "unknown",
        "unknown": "unknown",
        "sent": "sent",
        "delivered": "delivered",
        "bounced": "bounced",
        "complained": "complained",
        "canceled": "unknown",
    },
    "deliver": {
        "pending": "delivered",
        "sending": "delivered",
        "deferred": "delivered",
        "sent": "delivered",
        "unknown": "delivered",
        "delivered": "delivered",
        "failed": "delivered",
        "canceled": "delivered",
        "bounced": "bounced",
        "complained": "complained",
    },
    "bounce": {
        "pending": "bounced",
        "sending": "bounced",
        "deferred": "bounced",
        "sent": "bounced",
        "unknown": "bounced",
        "delivered": "bounced",
        "bounced": "bounced",
        "failed": "bounced",
        "canceled": "bounced",
        "complained": "complained",
    },
    "complain": {
        "pending": "complained",
        "sending": "complained",
        "deferred": "complained",
        "sent": "complained",
        "unknown": "complained",
        "delivered": "complained",
        "bounced": "complained",
        "complained": "complained",
        "failed": "complained",
        "canceled": "complained",
    },
    "retry": {"failed": "pending", "unknown": "pending"},
    "mark_sent": {"unknown": "sent"},
    "suppress": {"pending": "suppressed", "sending": "suppressed", "deferred": "suppressed"},
    "cancel": {"pending": "canceled", "deferred": "canceled", "canceled": "canceled"},
}

STATUS: dict[State, Status] = {
    "pending": "PENDING",
    "sending": "PENDING",
    "deferred": "PENDING",
    "unknown": "PENDING",
    "sent": "SENT",
    "delivered": "SENT",
    "complained": "SENT",
    "failed": "FAILED",
    "bounced": "FAILED",
    "suppressed": "FAILED",
    "canceled": "FAILED",
}

# Where several recipients differ, the message shows the first of these that any of them is in: work still owed,
# then what was sent (the best news first), then what nobody knows, then what failed.
FOLD: tuple[State, ...] = (
    "sending",
    "deferred",
    "pending",
    "complained",
    "delivered",
    "sent",
    "unknown",
    "bounced",
    "failed",
    "suppressed",
    "canceled",
)


class IllegalTransition(Exception):
    """An event met a state that TABLE does not allow it in: a bug, or a peer that broke the contract."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"no recipient that is {state} can {event}")


def advance(state: State, event: Event) -> State:
    """The state after `event`; raises IllegalTransition for a pair that is not in TABLE."""
    try:
        return TABLE[event][state]
    except KeyError:
        raise IllegalTransition(state, event) from None


def allows(state: State, event: Event) -> bool:
    """Whether `event` may happen to a recipient in `state`."""
    return state in TABLE[event]


def fold(states: Iterable[State]) -> State:
    """The state of a message, from those of its recipients (DESIGN §1: open, then sent, then unknown, then failed)."""
    present = set(states)
    return next(state for state in FOLD if state in present)
