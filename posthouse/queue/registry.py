"""The queues there are, by the scheme of their URL. A newcomer's queue is one more entry here."""

from collections.abc import Callable
from urllib.parse import urlsplit

from posthouse.queue.base import Queue
from posthouse.store.base import Store


def _store(url: str, store: Store) -> Queue:
    from posthouse.queue.store import StoreQueue

    return StoreQueue(store.next_due)


QUEUES: dict[str, Callable[[str, Store], Queue]] = {"store": _store}


def open_queue(url: str, store: Store) -> Queue:
    """The queue of a URL, not yet started."""
    scheme = urlsplit(url).scheme
    if scheme not in QUEUES:
        known = ", ".join(f"{name}:" for name in sorted(QUEUES))
        raise ValueError(f"POSTHOUSE_QUEUE: there is no queue for {scheme or 'no scheme'}: (known: {known})")
    return QUEUES[scheme](url, store)
