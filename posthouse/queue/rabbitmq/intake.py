"""Takes send events and answers them: gathered by lane, foreign mail stored first, acked after settle.

Rules: what cannot be read goes to the dead letters, once, with its reason, and stops nobody. While the store is away
events are held, not given back. A hint that finds no room for a long time is acked: its mail is in the store, and
the second door leads to it. No error ends the intake.
"""

import asyncio
import contextlib

import structlog
from aio_pika.abc import AbstractIncomingMessage

from posthouse.mail.errors import StoreAway
from posthouse.mail.events import EmailSendEvent
from posthouse.mail.message import LANES, Lane
from posthouse.queue.base import ForeignEvent, Handler, Hint, Named, QueueAway, Taken, Unreadable
from posthouse.queue.lane import LaneQueue
from posthouse.queue.rabbitmq.address import AWAY
from posthouse.queue.rabbitmq.consumer import Consumer
from posthouse.queue.rabbitmq.letters import check, plain_letter, read
from posthouse.queue.rabbitmq.press import Press
from posthouse.queue.rabbitmq.topology import DEAD, DELIVERIES, QUEUES, REASON

AGAIN = 1.0
"""Seconds before what was away is asked again, and what failed is tried again."""
HELD_SECONDS = 300.0
"""How long a hint may wait for a worker that has room."""
LARGE = 1_000_000
"""Bytes of an event beyond which it is read in a thread, two at a time."""
ACK_SECONDS = 0.1
"""How long a stop waits for the acks of what was settled just before."""

_LANES: dict[str, Lane] = {queue: lane for lane, queue in QUEUES.items()}


class Intake:
    """Feeds a handler from the queues of both lanes."""

    def __init__(
        self, consumer: Consumer, press: Press, event: ForeignEvent | None, named: Named | None
    ) -> None:
        self._consumer, self._press, self._event, self._named = consumer, press, event, named
        self._log = structlog.get_logger("queue")
        self._lanes = {lane: LaneQueue(lane) for lane in LANES}
        self._running: set[asyncio.Task[None]] = set()
        self._two_at_a_time = asyncio.Semaphore(2)

    async def run(self, handler: Handler) -> None:
        """Works until cancelled; what was leased by then is acked as it is settled, until `close`."""

        async def find(hint: Hint) -> Taken:
            return await handler(await self._find(hint))

        async with asyncio.TaskGroup() as group:
            group.create_task(self._consumer.run(self._start))
            for lane in self._lanes.values():
                group.create_task(lane.hand_over(find))

    async def close(self) -> None:
        """What is not settled goes back to the broker."""
        if self._running:
            await asyncio.wait(self._running, timeout=ACK_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._consumer.close()

    async def _start(self, queue: str, message: AbstractIncomingMessage) -> None:
        task = asyncio.get_running_loop().create_task(self._run(_LANES[queue], message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, lane: Lane, message: AbstractIncomingMessage) -> None:
        """The life of an event."""
        try:
            hint = await self._read(lane, message)
            await self._taken(hint)
            await message.ack()
        except Unreadable as error:
            await self._bury(message, str(error))
        except AWAY as error:
            self._log.info("event not answered", why=str(error) or type(error).__name__)
        except Exception:
            self._log.exception("event not done")
            await asyncio.sleep(AGAIN)
            with contextlib.suppress(*AWAY):
                await message.reject(requeue=True)

    async def _taken(self, hint: Hint) -> None:
        """Returns when all of it is settled, or there was nothing to lease, or no room for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_SECONDS):
                taken = await self._lanes[hint.lane].take(hint)
            await taken.over()

    async def _read(self, lane: Lane, message: AbstractIncomingMessage) -> Hint:
        if message.headers.get("x-delivery-count", 0) >= DELIVERIES - 1:  # pyright: ignore[reportOperatorIssue]
            raise Unreadable(f"it was delivered {DELIVERIES} times, and no worker came to an end with it")
        event = check(await self._parse(message.body))
        if not event.carries:
            return Hint(lane, tuple(event.names))
        if self._event is None:
            raise Unreadable("events that carry mail are not taken here")
        while True:
            try:
                return await self._event(event, lane)
            except StoreAway as error:
                self._log.warning("store away", during="foreign mail", why=str(error))
                await asyncio.sleep(AGAIN)

    async def _parse(self, body: bytes) -> EmailSendEvent:
        if len(body) <= LARGE:
            return read(body, EmailSendEvent)
        async with self._two_at_a_time:
            return await asyncio.to_thread(read, body, EmailSendEvent)

    async def _find(self, hint: Hint) -> Hint:
        """The same hint with our ids for its eventIds."""
        if self._named is None:
            return hint
        ids = await self._named(hint.ids)
        return Hint(hint.lane, tuple(ids.get(name, name) for name in hint.ids))

    async def _bury(self, message: AbstractIncomingMessage, why: str) -> None:
        """To the dead letters, then away; a broker that is away meanwhile delivers it again."""
        self._log.warning("event unreadable", why=why)
        await bury(self._press, message, why)
        with contextlib.suppress(*AWAY):
            await message.ack()


async def bury(press: Press, message: AbstractIncomingMessage, why: str) -> None:
    """Publishes a message to the dead letters with its reason; returns once that is confirmed."""
    letter = plain_letter(message.body, {REASON: why})
    while True:
        try:
            await press.publish([(DEAD, message.routing_key or "", letter)])
            break
        except QueueAway:
            await asyncio.sleep(AGAIN)
