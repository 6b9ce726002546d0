"""A connection that delivers from queues to a callback, and is made again whenever it is lost.

Rules: `prefetch` bounds what is delivered and not yet acked, for each queue: that is the back-pressure. What was
delivered over a connection that is gone comes again; its ack then has nowhere to go, and needs none.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue

from posthouse.queue.base import QueueAway, QueueUnfit
from posthouse.queue.rabbitmq.address import AWAY, Address, connect, said
from posthouse.queue.rabbitmq.topology import declare

AGAIN = 1.0
"""Seconds before what was away is asked again."""
CLOSE_SECONDS = 2.0

Deliver = Callable[[str, AbstractIncomingMessage], Coroutine[Any, Any, None]]
"""Gets the queue's name and a message; returns at once."""


class Consumer:
    """Consumes `queues`, under `name` in RabbitMQ."""

    def __init__(self, address: Address, name: str, queues: Sequence[str], prefetch: int) -> None:
        self._address, self._name, self._queues, self._prefetch = address, name, queues, prefetch
        self._connection: AbstractConnection | None = None
        self._log = structlog.get_logger("queue")
        self._away = False

    async def run(self, deliver: Deliver) -> None:
        """Delivers until cancelled; then what is delivered can still be acked, until `close`."""
        while True:
            try:
                await self.close()
                self._connection = await connect(self._address, self._name)
                await declare(self._connection, self._address)
                await self._consume(self._connection, deliver)
                self._note("the connection was closed")
            except (QueueAway, QueueUnfit) as error:
                self._note(str(error))
            except AWAY as error:
                self._note(said(error))
            await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        """Lets go of the connection: what is not acked goes to others."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()

    async def _consume(self, connection: AbstractConnection, deliver: Deliver) -> None:
        """Returns when the connection, or one of its channels, is closed."""
        consuming: list[tuple[AbstractQueue, str]] = []
        ends = [asyncio.ensure_future(connection.closed())]
        for name in self._queues:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=self._prefetch)
            queue = await channel.get_queue(name, ensure=False)
            tag = await queue.consume(partial(deliver, name))
            consuming.append((queue, tag))
            ends.append(asyncio.ensure_future(channel.closed()))
        self._note("")
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await asyncio.gather(*(queue.cancel(tag) for queue, tag in consuming))
            raise

    def _note(self, why: str) -> None:
        """Says in the log once that it is away, and once that it is back."""
        if why and not self._away:
            self._log.warning("queue away", why=why, meanwhile="mail goes by way of the store")
        if self._away and not why:
            self._log.info("queue back")
        self._away = bool(why)
