"""The queue `amqp://user:pass@host:port/vhost`: events on RabbitMQ, that programs in any language write and read.

Rules: what is declared is the contract (topology). Hints that cannot be published are lost, and the second door finds
the mail; foreign mail stays in the broker until the store has it. A RabbitMQ that is away stops nobody; one whose
queues are not as they must be is refused.
"""

from collections.abc import Sequence

import structlog

from posthouse.mail.events import EmailStatusEvent
from posthouse.mail.message import Lane
from posthouse.queue.base import Apply, ForeignEvent, Handler, Hint, Named, QueueAway
from posthouse.queue.rabbitmq.address import connect, read_address
from posthouse.queue.rabbitmq.consumer import Consumer
from posthouse.queue.rabbitmq.intake import Intake
from posthouse.queue.rabbitmq.letters import hints_as_events, letter
from posthouse.queue.rabbitmq.press import Press
from posthouse.queue.rabbitmq.statuses import Statuses
from posthouse.queue.rabbitmq.topology import KEYS, QUEUES, SEND, STATUS, STATUS_KEY, STATUS_QUEUE, declare

PREFETCH = 256
"""Events of a lane, and status events, that a process has and has not acked. At least as many mails as it settles in
the time that one takes, so that workers never wait for the broker."""


class RabbitQueue:
    """See queue.base, Queue and Statuses. `event` stores the mail that foreign events carry, `named` finds our ids for
    eventIds; without them such events are dead letters, and an eventId must be an id."""

    def __init__(self, url: str, event: ForeignEvent | None = None, named: Named | None = None) -> None:
        self._address = read_address(url)
        self._event, self._named = event, named
        self._press = Press(self._address)
        self._intake: Intake | None = None

    async def start(self) -> None:
        try:
            async with await connect(self._address, "posthouse start") as connection:
                await declare(connection, self._address)
        except QueueAway as error:
            structlog.get_logger("queue").warning(
                "queue away", why=str(error), meanwhile="mail goes by way of the store"
            )

    async def stop(self) -> None:
        if self._intake is not None:
            await self._intake.close()
            self._intake = None
        await self._press.close()

    async def publish(self, hints: Sequence[Hint]) -> None:
        await self._press.publish(
            [(SEND, KEYS[lane], letter(event)) for lane, event in hints_as_events(hints)]
        )

    async def consume(self, handler: Handler) -> None:
        if self._intake is None:
            consumer = Consumer(self._address, "posthouse worker", list(QUEUES.values()), PREFETCH)
            self._intake = Intake(consumer, self._press, self._event, self._named)
        await self._intake.run(handler)

    async def depth(self) -> dict[Lane, int]:
        waiting = await self._press.depth(QUEUES.values())
        return dict(zip(QUEUES, waiting, strict=True))

    async def tell(self, events: Sequence[EmailStatusEvent]) -> None:
        await self._press.publish([(STATUS, STATUS_KEY, letter(event)) for event in events])

    async def hear(self, apply: Apply) -> None:
        consumer = Consumer(self._address, "posthouse records", [STATUS_QUEUE], PREFETCH)
        await Statuses(consumer, self._press, apply).run()
