"""The exchanges and queues that are the contract with other programs (docs/rabbitmq.md), declared and checked at once.

A declaration makes what is missing and refuses what is there but different; the broker says in which argument.
"""

from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPChannelError

from posthouse.mail.message import Lane
from posthouse.queue.base import QueueUnfit
from posthouse.queue.rabbitmq.address import Address, said, unfit

SEND, STATUS, DEAD = "email.send.exchange", "email.status.exchange", "email.send.dlx"
KEYS: dict[Lane, str] = {"transactional": "email.send", "bulk": "email.send.bulk"}
QUEUES: dict[Lane, str] = {"transactional": "email.send.queue", "bulk": "email.send.bulk.queue"}
STATUS_KEY, STATUS_QUEUE = "email.status", "email.status.queue"
DEAD_QUEUE = "email.send.dead"
REASON = "x-reason"
"""The header of a dead letter that says why."""

DELIVERIES = 20
"""How often an event is delivered at most: each time but the last its worker died over it, or we failed."""

_QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
_SAFE: dict[str, Any] = {
    **_QUORUM,
    "x-delivery-limit": DELIVERIES,
    "x-dead-letter-exchange": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


async def declare(connection: AbstractConnection, address: Address) -> None:
    """Makes what is missing; raises QueueUnfit where something of these names is not as it must be."""
    channel = await connection.channel()
    await _exchange(channel, address, DEAD, ExchangeType.FANOUT)
    await _queue(channel, address, DEAD_QUEUE, DEAD, "", _QUORUM)
    await _exchange(channel, address, SEND, ExchangeType.DIRECT)
    for lane, name in QUEUES.items():
        await _queue(channel, address, name, SEND, KEYS[lane], _SAFE)
    await _exchange(channel, address, STATUS, ExchangeType.DIRECT)
    await _queue(channel, address, STATUS_QUEUE, STATUS, STATUS_KEY, _SAFE)
    await channel.close()


async def _exchange(channel: AbstractChannel, address: Address, name: str, kind: ExchangeType) -> None:
    try:
        await channel.declare_exchange(name, kind, durable=True)
    except AMQPChannelError as error:
        raise _wrong(address, f"the exchange {name}", error) from None


async def _queue(
    channel: AbstractChannel,
    address: Address,
    name: str,
    exchange: str,
    key: str,
    arguments: dict[str, Any],
) -> None:
    try:
        queue = await channel.declare_queue(name, durable=True, arguments=arguments)
        await queue.bind(exchange, key)
    except AMQPChannelError as error:
        raise _wrong(address, f"the queue {name}", error) from None


def _wrong(address: Address, what: str, error: Exception) -> QueueUnfit:
    return unfit(
        address,
        f"cannot give us {what} in the virtual host {address.host}: {said(error)}. Delete what is there"
        " and is different (it will be made anew), grant the permission, or take another virtual host",
    )
