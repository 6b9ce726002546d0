"""Publishes: persistent, mandatory, confirmed, and never longer than it may take.

A connection of its own, apart from the consumers': a broker that is short of memory stops those that publish. It is
opened when there is something to publish, and thrown away when in doubt; aio-pika's own reconnecting is not used, since
a publish may hang in it for ever.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractMessage
from aiormq.exceptions import DeliveryError, PublishError

from posthouse.queue.base import QueueAway, QueueUnfit
from posthouse.queue.rabbitmq.address import AWAY, Address, connect, said
from posthouse.queue.rabbitmq.topology import declare

PUBLISH_SECONDS = 2.0
"""How long one batch may take."""

T = TypeVar("T")
Letter = tuple[str, str, AbstractMessage]
"""Exchange, key, message."""


class Press:
    """See the module."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def publish(self, letters: Sequence[Letter]) -> None:
        """Returns when the broker keeps all of them; raises QueueAway."""
        if letters:
            await self._in_time(self._publish(letters))

    async def depth(self, queues: Iterable[str]) -> list[int]:
        """How many messages wait in each queue; raises QueueAway."""
        return await self._in_time(self._depth(queues))

    async def close(self) -> None:
        """Lets go of the connection."""
        self._throw_away()
        await asyncio.gather(*self._closing)

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                return await work
        except PublishError as error:
            raise QueueAway(f"RabbitMQ could not deliver: {said(error)}") from None
        except DeliveryError:
            raise QueueAway("RabbitMQ did not take it: a queue is full or has no leader") from None
        except QueueUnfit as error:
            raise QueueAway(str(error)) from None
        except AWAY as error:
            self._throw_away()
            raise QueueAway(f"RabbitMQ at {self._address.where}: {said(error)}") from None

    async def _publish(self, letters: Sequence[Letter]) -> None:
        channel = await self._ready()
        await asyncio.gather(*(self._one(channel, *each) for each in letters))

    async def _one(self, channel: AbstractChannel, exchange: str, key: str, message: AbstractMessage) -> None:
        if exchange not in self._exchanges:
            self._exchanges[exchange] = await channel.get_exchange(exchange, ensure=False)
        await self._exchanges[exchange].publish(message, key, mandatory=True)

    async def _depth(self, queues: Iterable[str]) -> list[int]:
        channel = await self._ready()
        found = [await channel.declare_queue(name, passive=True) for name in queues]
        return [queue.declaration_result.message_count or 0 for queue in found]

    async def _ready(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._throw_away()
                self._connection = await connect(self._address, "posthouse publisher")
                await declare(self._connection, self._address)
                self._channel = await self._connection.channel(on_return_raises=True)
            return self._channel

    def _throw_away(self) -> None:
        """What hangs must not be waited for."""
        connection, self._connection, self._channel = self._connection, None, None
        self._exchanges.clear()
        if connection is not None:
            task = asyncio.get_running_loop().create_task(_close(connection))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close(connection: AbstractConnection) -> None:
    with contextlib.suppress(*AWAY):
        async with asyncio.timeout(PUBLISH_SECONDS):
            await connection.close()
