"""What the tests of delivery share: a transport that does as it is told, and messages as a worker holds them."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.journal import Journal
from posthouse.mail import advance
from posthouse.mail.errors import TransportAway
from posthouse.mail.message import Lane, Message, Recipient
from posthouse.mail.retry import Policy
from posthouse.transport.base import Envelope, Use

NOW = 1_000_000_000


class Hop:
    """A transport: keeps what it is given; its probe waits for `asked` and succeeds while it is `there`."""

    name = "hop:"
    connections = 4
    limit = 60.0

    def __init__(self) -> None:
        self.sent: list[Envelope] = []
        self.recalls = self.probes = 0
        self.there = True
        self.stumbles: list[Exception] = []

    async def start(self) -> None:
        """Nothing to make ready."""

    async def stop(self) -> None:
        """Nothing in the air."""

    def send(self, envelopes: Sequence[Envelope]) -> None:
        self.sent += envelopes

    def recall(self, ids: Container[str] | None = None) -> None:
        self.recalls += 1

    def use(self) -> Use:
        return Use(2, len(self.sent), {"transactional": 1, "bulk": 0})

    async def probe(self) -> None:
        self.probes += 1
        if self.stumbles:
            raise self.stumbles.pop(0)
        if not self.there:
            raise TransportAway("connection refused")


def claimed(*emails: str, id: str = "1", lane: Lane = "transactional", size: int = 100) -> Message:
    """A message as `claim` gives it."""
    recipients = [Recipient(email) for email in emails or ("a@x.example",)]
    message = Message(id=id, message_id=f"<{id}@x>", lane=lane, size=size, recipients=recipients)
    advance.accept(message, NOW, 3600.0)
    advance.claim(message, "worker", NOW + 60_000_000)
    return message


def attempt(
    message: Message,
    journal: Journal,
    finished: Callable,
    *,
    lease: float = 60.0,
    policy: Policy | None = None,
) -> Attempt:
    return Attempt(
        message,
        elapsed_clock(),
        lease,
        journal=journal,
        policy=policy or Policy(backoff=0.0),
        finished=finished,
    )


def opened_journal(folder: Path) -> Journal:
    journal = Journal(folder / "journals", "worker", "store-1")
    journal.open()
    return journal


async def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Returns when it is true; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


class SizeLimit:
    """No file of this process grows beyond so many bytes, as on a full disk."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
        signal.signal(signal.SIGXFSZ, self._handler)


@contextlib.contextmanager
def full(journal: Journal) -> Iterator[None]:
    """The journal's file is full and the disk has no room for another."""
    journal._at = len(journal._map)
    with SizeLimit(1 << 20):
        yield
