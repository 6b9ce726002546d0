"""Fault points: the moments at which a process of a deployment may be told to die (or to stop) by itself.

They are laid around the ports that the roles open (posthouse.roles.faults): the code under test knows nothing of them.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from posthouse.mail.outcome import Outcome
from posthouse.queue.base import Handler, Hint, Queue, Taken
from posthouse.roles.faults import Faults
from posthouse.store.base import Store
from posthouse.transport.base import Envelope, Transport

AFTER_COMMIT = "after store commit"
AFTER_PUBLISH = "after publish"
AFTER_CLAIM = "after claim"
BEFORE_END = "before end of data"
BEGUN = "begin in the journal"
AFTER_END = "after end of data"
AFTER_REPLY = "after the reply"
NOTED = "reply in the journal"
AFTER_SETTLE = "after settle"
BEFORE_ACK = "before ack"
FREEZING = "freezing an audience"
BUILDING = "building an audience"
SAVED = "between save and publish"

CALLS = {
    "save": AFTER_COMMIT,
    "add_campaign": AFTER_COMMIT,
    "claim": AFTER_CLAIM,
    "settle": AFTER_SETTLE,
    "freeze_kept": FREEZING,
    "enlist": BUILDING,
}
"""The calls of a store, and the point that is passed when one was answered with something."""
ON_ITS_WAY = 0.003
"""Seconds after the last look at the lease by which the final dot has left, and no slow server has answered it."""
HOW = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

T = TypeVar("T")


class Trap:
    """Springs when `point` is passed for the `nth` time: `how` is kill or stop."""

    def __init__(self, point: str, nth: int, how: str) -> None:
        self._point, self._left, self._signal = point, nth, HOW[how]

    def passed(self, point: str) -> None:
        """To be called at each point."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)

    @property
    def faults(self) -> Faults:
        """The trap, as the roles take it."""
        return Faults(self._in_store, self._in_queue, self._in_transport)

    def _in_store(self, store: Store) -> Store:
        for name, point in CALLS.items():
            call = getattr(store, name, None)
            if call is not None:
                setattr(store, name, self._answered(call, point))
        return store

    def _answered(self, call: Callable[..., Awaitable[Any]], point: str) -> Callable[..., Awaitable[Any]]:
        async def answered(*arguments: Any, **named: Any) -> Any:
            answer = await call(*arguments, **named)
            if answer:
                self.passed(point)
            return answer

        return answered

    def _in_queue(self, queue: Queue) -> Queue:
        publish, consume = queue.publish, queue.consume

        async def published(hints: Sequence[Hint]) -> None:
            await publish(hints)
            self.passed(AFTER_PUBLISH)

        queue.publish = published
        queue.consume = lambda handler: consume(self._before_ack(handler))
        self._in_statuses(queue)
        return queue

    def _before_ack(self, handler: Handler) -> Handler:
        async def handle(hint: Hint) -> Taken:
            taken = await handler(hint)
            over = taken.over

            async def acking() -> None:
                await over()
                self.passed(BEFORE_ACK)

            taken.over = acking
            return taken

        return handle

    def _in_statuses(self, queue: Any) -> None:
        """What tells and hears of outcomes, where the queue carries them."""
        if not hasattr(queue, "tell"):
            return
        tell, hear = queue.tell, queue.hear

        async def told(events: Any) -> None:
            await tell(events)
            self.passed(AFTER_PUBLISH)

        def heard(apply: Callable[[Any], Awaitable[T]]) -> Awaitable[None]:
            async def applied(events: Any) -> T:
                reasons = await apply(events)
                self.passed(BEFORE_ACK)
                return reasons

            return hear(applied)

        queue.tell, queue.hear = told, heard

    def _in_transport(self, transport: Transport) -> Transport:
        send = transport.send
        transport.send = lambda envelopes: send([Watched(each, self) for each in envelopes])
        return transport


class Watched:
    """An envelope whose steps pass the points."""

    def __init__(self, envelope: Envelope, trap: Trap) -> None:
        self._envelope, self._trap, self._begun = envelope, trap, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._envelope, name)

    def begin(self, replies: Sequence[Outcome | None]) -> bool:
        self._trap.passed(BEFORE_END)
        self._begun = self._envelope.begin(replies)
        if self._begun:
            self._trap.passed(BEGUN)
            asyncio.get_running_loop().call_later(ON_ITS_WAY, self._trap.passed, AFTER_END)
        return self._begun

    def done(self, outcomes: Sequence[Outcome]) -> None:
        if self._begun:
            self._trap.passed(AFTER_REPLY)
        self._envelope.done(outcomes)
        if self._begun:
            self._trap.passed(NOTED)
