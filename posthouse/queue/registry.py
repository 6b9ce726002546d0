"""The queues there are, by the scheme of their URL. A newcomer's queue is one more entry here."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from posthouse.mail.message import Lane
from posthouse.queue.base import Foreign, ForeignEvent, Named, Queue

NextDue = Callable[[Lane], Awaitable[float | None]]
"""The store's `next_due`: seconds until mail of a lane is due, or None."""
Listen = Callable[[Callable[[Lane], None]], Awaitable[None]]
"""The store's `listen`, where it can wake other processes."""


class Around(NamedTuple):
    """What a queue may need of the house; see the types."""

    next_due: NextDue
    foreign: Foreign | None = None
    listen: Listen | None = None
    event: ForeignEvent | None = None
    named: Named | None = None


def _store(url: str, around: Around) -> Queue:
    from posthouse.queue.store import StoreQueue

    return StoreQueue(around.next_due, around.listen)


def _redis(url: str, around: Around) -> Queue:
    try:
        from posthouse.queue.bullmq import BullQueue
    except ImportError as error:
        raise _needs("redis", error) from error
    return BullQueue(url, around.foreign)


def _rabbitmq(url: str, around: Around) -> Queue:
    try:
        from posthouse.queue.rabbitmq import RabbitQueue
    except ImportError as error:
        raise _needs("rabbitmq", error) from error
    return RabbitQueue(url, around.event, around.named)


def _needs(extra: str, error: ImportError) -> ValueError:
    return ValueError(
        f"POSTHOUSE_QUEUE: this queue needs the package {error.name}: pip install 'posthouse[{extra}]'"
    )


QUEUES: dict[str, Callable[[str, Around], Queue]] = {
    "store": _store,
    "redis": _redis,
    "rediss": _redis,
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
}


def open_queue(
    url: str,
    next_due: NextDue,
    foreign: Foreign | None = None,
    listen: Listen | None = None,
    event: ForeignEvent | None = None,
    named: Named | None = None,
) -> Queue:
    """The queue of a URL, not yet started. `foreign` and `event` store mail that other programs put into it."""
    scheme = urlsplit(url).scheme
    if scheme not in QUEUES:
        known = ", ".join(f"{name}:" for name in sorted(QUEUES))
        raise ValueError(f"POSTHOUSE_QUEUE: there is no queue for {scheme or 'no scheme'}: (known: {known})")
    return QUEUES[scheme](url, Around(next_due, foreign, listen, event, named))
