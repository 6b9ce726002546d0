"""The queue port: how work reaches workers quickly. It carries hints; the store is the truth.

Rules: a hint may be lost, doubled or late without harm. The handler returns when the work is leased, or when there
was none; a queue that has hints to ack acks them after settle. When the store is unreachable the consumer stops
taking; it never nacks.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from posthouse.mail.message import Lane


class Hint(msgspec.Struct, frozen=True):
    """Work there is: these messages of a lane, or (no ids) whatever is due in it."""

    lane: Lane
    ids: tuple[str, ...] = ()


Handler = Callable[[Hint], Awaitable[int]]
"""Takes the work of a hint and returns when it can take more; answers how many messages it found."""


class Queue(Protocol):
    """See the module's rules."""

    async def start(self) -> None:
        """Connects, declares what it needs and checks what is there; raises with what to do if it does not fit."""
        ...

    async def stop(self) -> None:
        """Stops consuming, publishes what waits, closes."""
        ...

    async def publish(self, hints: Sequence[Hint]) -> None:
        """Tells the workers. Raises QueueAway when it cannot; nothing is lost by that."""
        ...

    async def consume(self, handler: Handler) -> None:
        """Feeds `handler` with hints until cancelled."""
        ...

    async def depth(self) -> dict[Lane, int]:
        """How many hints wait in each lane."""
        ...


class QueueAway(Exception):
    """The queue does not answer. The second door finds the mail."""
