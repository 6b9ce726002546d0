"""Where a test may have a process die: around what it works on, so that no code that does the work knows of it.

In production there is nothing around it: each port is used just as it was opened.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from posthouse.queue.base import Queue
from posthouse.store.base import Store
from posthouse.transport.base import Transport

T = TypeVar("T")


def _as_opened(port: T) -> T:
    return port


class Faults(NamedTuple):
    """Each gets a port that was opened, and gives what is used in its place. What else the port can do (Wakes, Campaigns,
    Statuses) must be there still."""

    store: Callable[[Store], Store] = _as_opened
    queue: Callable[[Queue], Queue] = _as_opened
    transport: Callable[[Transport], Transport] = _as_opened


NONE = Faults()
