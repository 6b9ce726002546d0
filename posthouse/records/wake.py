"""Who is told of new mail: the queue of this process, and whoever listens (workers on a `grpc://` store).

A hint: it may be lost. With RabbitMQ the producer itself tells the workers, by the event that it publishes. Our own
processes that store mail here have the queue that they tell, save where it is `store:`, which is one process's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from posthouse.mail.message import LANES, Lane, Message


class Wake:
    """`tell` takes hints for the queue whose URL is `queue`."""

    def __init__(self, tell: Callable[[Sequence[Message]], None], queue: str) -> None:
        self._tell, self._kind = tell, queue.partition(":")[0]
        self._listeners: set[_Listener] = set()
        self._closed = False

    def accepted(self, messages: Sequence[Message]) -> None:
        """A producer saved these by EmailRecords; they are due."""
        self._wake(messages)
        if not self._kind.startswith("amqp"):
            self._tell(messages)

    def stored(self, messages: Sequence[Message]) -> None:
        """A process of ours saved these by the store port; they are due."""
        self._wake(messages)
        if self._kind == "store":
            self._tell(messages)

    async def listen(self) -> AsyncIterator[Lane]:
        """The lanes of new mail, one word for all that comes while the listener is busy; until it is closed."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while not self._closed:
                for lane in await listener.next():
                    yield lane
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Lets all listeners go."""
        self._closed = True
        for listener in self._listeners:
            listener.wake([])

    def _wake(self, messages: Sequence[Message]) -> None:
        lanes: set[Lane] = {message.lane for message in messages}
        for listener in self._listeners:
            listener.wake(lanes)


class _Listener:
    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._lanes: set[Lane] = set()

    def wake(self, lanes: Iterable[Lane]) -> None:
        self._lanes.update(lanes)
        self._woken.set()

    async def next(self) -> list[Lane]:
        await self._woken.wait()
        self._woken.clear()
        lanes, self._lanes = self._lanes, set()
        return [lane for lane in LANES if lane in lanes]
