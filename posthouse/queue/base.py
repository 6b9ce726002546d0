"""The queue port: how work reaches workers quickly. It carries hints; the store is the truth.

Rules: a hint may be lost, doubled or late without harm. The handler returns when the work is leased, or when there
was none; a queue that has hints to ack acks them after settle (`Taken.over`). When the store is unreachable the
handler asks it until it answers, so the consumer stops taking; it never nacks. What a foreign producer put into the
queue carries the mail itself: it is stored first, under its key, and is a hint from then on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from posthouse.mail.events import EmailSendEvent, EmailStatusEvent
from posthouse.mail.message import Lane


class Hint(msgspec.Struct, frozen=True):
    """Work there is: these messages of a lane, or (no ids) whatever is due in it."""

    lane: Lane
    ids: tuple[str, ...] = ()


class Taken:
    """The messages that were leased for a hint: how many (`count`), and whether each is settled or given back."""

    def __init__(self, ids: Collection[str] = ()) -> None:
        self.count = 0
        self._open: set[str] = set()
        self._over = asyncio.Event()
        self.leased(ids)

    def leased(self, ids: Collection[str]) -> None:
        """These too."""
        self.count += len(ids)
        self._open.update(ids)
        self._note()

    def settled(self, id: str) -> None:
        """One of them is settled or given back."""
        self._open.discard(id)
        self._note()

    async def over(self) -> None:
        """Returns when all of them are."""
        await self._over.wait()

    def _note(self) -> None:
        if self._open:
            self._over.clear()
        else:
            self._over.set()


Handler = Callable[[Hint], Awaitable[Taken]]
"""Takes the work of a hint and returns when it can take more."""

Foreign = Callable[[bytes, str, str], Awaitable[Hint]]
"""Stores the mail of a foreign producer: its JSON, the queue it was in, its name there (the same for the same job).
Answers the hint that leads to it; raises Unreadable, and StoreAway (nothing may be lost by asking again)."""


ForeignEvent = Callable[[EmailSendEvent, Lane], Awaitable[Hint]]
"""Stores the mail of an event, once for its eventId. Answers and raises as Foreign does."""
Named = Callable[[Sequence[str]], Awaitable[dict[str, str]]]
"""The ids of the mail that has these eventIds; those that lead nowhere are left out, and may be ids themselves."""
Apply = Callable[[Sequence[EmailStatusEvent]], Awaitable[Sequence[str | None]]]
"""Writes what events tell into the records; for each the reason why it can tell nothing to any, or None. Raises
StoreAway (nothing is lost by asking again)."""


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


@runtime_checkable
class Statuses(Protocol):
    """A queue that carries what attempts gave to whoever keeps the records."""

    async def tell(self, events: Sequence[EmailStatusEvent]) -> None:
        """Returns when all of them are kept by the queue. Raises QueueAway; then some may be, nevertheless."""
        ...

    async def hear(self, apply: Apply) -> None:
        """Feeds `apply` with events, in batches, until cancelled."""
        ...


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How far a campaign is: `percent` of it needs no more work, `over` when it is complete or canceled. `wait`: it is not
    at work here now, and may be asked for again in so many seconds."""

    percent: int = 0
    over: bool = False
    wait: float | None = None


Follow = Callable[[str], Awaitable[Course | None]]
"""The course of the campaign of that id, or None where there is none. Raises StoreAway."""


@runtime_checkable
class Campaigning(Protocol):
    """A queue with a job for each campaign, so that others see how far it is. The job starts and ends nothing: workers
    find campaigns in the catalog."""

    async def announce(self, campaign: str) -> str:
        """Adds a job for the campaign of that id; answers the job's own name. Raises QueueAway."""
        ...

    def accompany(self, follow: Follow) -> None:
        """From now on `consume` takes such jobs, too, and asks `follow` about each."""
        ...


class QueueAway(Exception):
    """The queue does not answer. The second door finds the mail."""


class QueueUnfit(ValueError):
    """The queue answers, but is not one to trust with mail; the text says why and what to do."""


class Unreadable(Exception):
    """What a foreign producer put into the queue can become no mail; the text says why and repeats nothing of it."""
