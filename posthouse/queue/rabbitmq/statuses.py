"""Takes status events in batches, and acks each batch with one word once it stands in the records.

While one batch is written the next gathers. What cannot be read, or tells nothing to any record, goes to the dead
letters with its reason; while the store is away events are held.
"""

import asyncio
from collections.abc import Sequence

import structlog
from aio_pika.abc import AbstractIncomingMessage

from posthouse.mail.errors import StoreAway
from posthouse.mail.events import EmailStatusEvent
from posthouse.queue.base import Apply, Unreadable
from posthouse.queue.rabbitmq.address import AWAY
from posthouse.queue.rabbitmq.consumer import Consumer
from posthouse.queue.rabbitmq.intake import AGAIN, bury
from posthouse.queue.rabbitmq.letters import read
from posthouse.queue.rabbitmq.press import Press

BATCH = 128
"""Events in one write at most."""

Told = tuple[AbstractIncomingMessage, EmailStatusEvent | str]
"""A message with its event, or with the reason why it has none."""


class Statuses:
    """Feeds `apply` from the status queue."""

    def __init__(self, consumer: Consumer, press: Press, apply: Apply) -> None:
        self._consumer, self._press, self._apply = consumer, press, apply
        self._waiting: asyncio.Queue[Told] = asyncio.Queue()
        self._log = structlog.get_logger("queue")

    async def run(self) -> None:
        """Works until cancelled; what is not acked then comes again."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._consumer.run(self._take))
                group.create_task(self._write())
        finally:
            await self._consumer.close()

    async def _take(self, queue: str, message: AbstractIncomingMessage) -> None:
        try:
            self._waiting.put_nowait((message, read(message.body, EmailStatusEvent)))
        except Unreadable as error:
            self._waiting.put_nowait((message, str(error)))

    async def _write(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            for message, reason in await self._useless(batch):
                self._log.warning("status event unreadable", why=reason)
                await bury(self._press, message, reason)
            await self._ack(batch[-1][0])

    async def _useless(self, batch: Sequence[Told]) -> list[tuple[AbstractIncomingMessage, str]]:
        """Writes what can be written; gives the rest with its reasons."""
        events = [event for _, event in batch if isinstance(event, EmailStatusEvent)]
        reasons = iter(await self._applied(events))
        said = [(message, event if isinstance(event, str) else next(reasons)) for message, event in batch]
        return [(message, reason) for message, reason in said if reason is not None]

    async def _applied(self, events: Sequence[EmailStatusEvent]) -> Sequence[str | None]:
        while events:
            try:
                return await self._apply(events)
            except StoreAway as error:
                self._log.warning("store away", during="status events", why=str(error))
                await asyncio.sleep(AGAIN)
        return []

    async def _ack(self, last: AbstractIncomingMessage) -> None:
        """Of all up to this one; those of a connection that is gone come again."""
        try:
            await last.ack(multiple=True)
        except AWAY as error:
            self._log.info("events not answered", why=str(error) or type(error).__name__)
