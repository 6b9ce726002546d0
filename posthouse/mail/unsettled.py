"""What is left for a person: recipients whose outcome nobody knows, and those that failed for good (dead letters).

A person sends them again, or settles an unknown as sent; the lifecycle says which of them that can be done with. Who did it
stands in the history of each mail.
"""

from collections.abc import Iterator
from typing import Literal, get_args

import msgspec

from posthouse.mail import advance
from posthouse.mail.lifecycle import State, allows
from posthouse.mail.message import Message, Recipient

Unsettled = Literal["unknown", "failed"]
UNSETTLED: tuple[Unsettled, ...] = get_args(Unsettled)

Resolution = Literal["retry", "mark_sent"]
"""What a person does, an event of the lifecycle: retry, with a fresh budget; mark_sent, it is known to have arrived."""


class Which(msgspec.Struct, frozen=True):
    """Which recipients: in any of these states, with an outcome of any of these classes, at any of these domains; where
    nothing is named, all."""

    states: tuple[State, ...] = UNSETTLED
    categories: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


def chosen(message: Message, which: Which) -> Iterator[Recipient]:
    """Those of its recipients."""
    for each in message.recipients:
        if each.state not in which.states:
            continue
        if which.categories and each.category not in which.categories:
            continue
        if not which.domains or each.email.rpartition("@")[2].lower() in which.domains:
            yield each


def resolvable(message: Message, how: Resolution, which: Which) -> list[Recipient]:
    """Those of them that it can be done with."""
    return [each for each in chosen(message, which) if allows(each.state, how)]


def resolve(message: Message, how: Resolution, which: Which, by: str, now: int, expire: float) -> None:
    """Does it; `expire` is how many seconds the mail lives on after a retry."""
    recipients = resolvable(message, how, which)
    if how == "retry":
        advance.retry(message, now, expire, recipients, by)
    elif recipients:
        advance.mark_sent(message, now, recipients, by)
