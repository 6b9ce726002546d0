"""The queues there are, by the scheme of their URL. A newcomer's queue is one more entry here."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from posthouse.mail.message import Lane
from posthouse.queue.base import Queue

NextDue = Callable[[Lane], Awaitable[float | None]]
"""The store's `next_due`: seconds until mail of a lane is due, or None."""


def _store(url: str, next_due: NextDue) -> Queue:
    from posthouse.queue.store import StoreQueue

    return StoreQueue(next_due)


QUEUES: dict[str, Callable[[str, NextDue], Queue]] = {"store": _store}


def open_queue(url: str, next_due: NextDue) -> Queue:
    """The queue of a URL, not yet started."""
    scheme = urlsplit(url).scheme
    if scheme not in QUEUES:
        known = ", ".join(f"{name}:" for name in sorted(QUEUES))
        raise ValueError(f"POSTHOUSE_QUEUE: there is no queue for {scheme or 'no scheme'}: (known: {known})")
    return QUEUES[scheme](url, next_due)
