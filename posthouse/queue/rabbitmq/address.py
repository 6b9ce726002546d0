"""Where the RabbitMQ is: `amqp://user:pass@host:port/vhost`, `amqps://` for TLS; and connections to it.

User, password and virtual host are percent-encoded; without a path the virtual host is `/`. The certificate of
`amqps://` is verified against the system's store, which honours SSL_CERT_FILE, and the host of the URL.
"""

import asyncio
import re
import ssl
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

import aio_pika
import msgspec
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    ChannelInvalidStateError,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from posthouse.queue.base import QueueAway, QueueUnfit

OLDEST = (3, 10)
"""The first version of RabbitMQ whose quorum queues do all that is asked of them."""
CONNECT_SECONDS = 3.0
HEARTBEAT = 10
"""Seconds; a connection without a sign of life for two of them is given up."""

AWAY = (AMQPError, ChannelInvalidStateError, OSError, asyncio.IncompleteReadError)
"""What the client raises when RabbitMQ does not answer, or not as it should."""


class Address(msgspec.Struct, frozen=True):
    """`where` is host and port, for people; `host` is the virtual host."""

    url: str
    where: str
    host: str


def read_address(url: str) -> Address:
    """Reads POSTHOUSE_QUEUE; raises ValueError that names what is wrong."""
    parts = urlsplit(url)
    if parts.query:
        name = re.split("[=&]", parts.query)[0]
        raise ValueError(f"POSTHOUSE_QUEUE: {parts.scheme}:// has no option {name} (it has none)")
    if not parts.hostname:
        raise ValueError(f"POSTHOUSE_QUEUE: {parts.scheme}:// names no host")
    host = unquote(parts.path.removeprefix("/")) or "/"
    if "/" in parts.path[1:]:
        raise ValueError("POSTHOUSE_QUEUE: a virtual host with a slash in it is written with %2F")
    named = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{named}:{_port(url) or (5671 if parts.scheme == 'amqps' else 5672)}"
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path if host != "/" else "/%2F", "", ""))
    return Address(plain, where, host)


async def connect(address: Address, name: str) -> AbstractConnection:
    """A connection, shown under `name` in RabbitMQ. Raises QueueAway, and QueueUnfit where it can be of no use."""
    context = ssl.create_default_context() if address.url.startswith("amqps:") else None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aio_pika.connect(
                address.url,
                ssl_context=context,
                client_properties={"connection_name": name},
                heartbeat=HEARTBEAT,
            )
    except ProbableAuthenticationError:
        raise unfit(address, "refuses the user or the password") from None
    except InvalidFrameError:  # the client keeps to itself what the broker said
        why = (
            f"closes the connection: does the virtual host {address.host} exist, and may this user enter it?"
        )
        raise unfit(address, why) from None
    except (AMQPError, OSError) as error:
        raise QueueAway(f"RabbitMQ at {address.where} does not answer: {said(error)}") from None
    _check_version(address, connection)
    return connection


def unfit(address: Address, why: str) -> QueueUnfit:
    """The error of a RabbitMQ that cannot be used as it is."""
    return QueueUnfit(f"POSTHOUSE_QUEUE: RabbitMQ at {address.where} {why}")


def said(error: BaseException) -> str:
    """What a broker or the network said."""
    text = " ".join(str(part) for part in error.args if part is not None and not callable(part))
    return text or type(error).__name__


def _check_version(address: Address, connection: AbstractConnection) -> None:
    transport = connection.transport
    properties = {} if transport is None else transport.connection.server_properties
    version = cast(object, properties.get("version", ""))
    text = version.decode() if isinstance(version, bytes) else str(version)
    numbers = tuple(int(number) for number in re.findall(r"\d+", text)[:2])
    if numbers < OLDEST:
        raise unfit(address, f"is of version {text or 'unknown'}; 3.10 or newer is needed")


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        raise ValueError("POSTHOUSE_QUEUE: the port is not a number up to 65535") from None
