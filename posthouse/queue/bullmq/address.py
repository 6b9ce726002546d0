"""Where the Redis is: `redis://user:pass@host:port/db?queue=email`, `rediss://` for TLS; and whether it is fit.

User and password are percent-encoded. The certificate of `rediss://` is verified against the system's store, which
honours SSL_CERT_FILE, and the host of the URL.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

from posthouse.queue.base import QueueAway, QueueUnfit

OLDEST = (6, 2)
"""The first version of Redis that BullMQ is tried with."""
CONNECTIONS = 8
SECONDS = 5.0
"""How long one command may take."""
CONNECT_SECONDS = 2.0

AWAY = (RedisError, OSError)
"""What the client raises when Redis does not answer, or not as it should."""


class Address(msgspec.Struct, frozen=True):
    """`where` is host and port, for people; `queue` is BullMQ's name of the queue."""

    url: str
    where: str
    queue: str


def read_address(url: str) -> Address:
    """Reads POSTHOUSE_QUEUE; raises ValueError that names what is wrong."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    queue = options.pop("queue", "email")
    for name in options:
        raise ValueError(f"POSTHOUSE_QUEUE: redis:// has no option {name} (known: queue)")
    if not queue or ":" in queue:
        raise ValueError("POSTHOUSE_QUEUE: the name of a queue must not be empty nor hold a colon")
    if not parts.hostname:
        raise ValueError("POSTHOUSE_QUEUE: redis:// names no host")
    if not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError(
            "POSTHOUSE_QUEUE: what follows the host must be the number of a database, such as /0"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{host}:{_port(url) or 6379}"
    return Address(urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")), where, queue)


def open_client(address: Address) -> Redis:
    """A client of a few connections, none of them open yet. A command is tried twice: the first may have met a
    connection that died with the Redis before."""
    pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        address.url,
        max_connections=CONNECTIONS,
        timeout=SECONDS,
        socket_timeout=SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        decode_responses=True,
        encoding_errors="replace",
        retry=Retry(NoBackoff(), 1),
    )
    return Redis(connection_pool=pool)


async def check(client: Redis, address: Address) -> None:
    """Raises QueueUnfit where mail of others could be lost in this Redis, QueueAway where it does not answer."""
    try:
        info: Mapping[str, Any] = await client.info()  # pyright: ignore[reportUnknownMemberType]
    except (AuthenticationError, AuthorizationError, ResponseError) as error:
        raise _unfit(address, f"refuses us: {error}") from None
    except AWAY as error:
        raise QueueAway(f"Redis at {address.where} does not answer: {error}") from None
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        raise _unfit(address, f"is of version {version or 'unknown'}; 6.2 or newer is needed")
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        raise _unfit(
            address, f"may throw jobs away: its maxmemory-policy is {policy}, and must be noeviction"
        )


def _unfit(address: Address, why: str) -> QueueUnfit:
    return QueueUnfit(f"POSTHOUSE_QUEUE: Redis at {address.where} {why}")


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        raise ValueError("POSTHOUSE_QUEUE: the port is not a number up to 65535") from None
