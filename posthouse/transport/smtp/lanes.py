"""What waits for a connection, in its lanes: first come first served within each, transactional before bulk."""

from collections import deque
from collections.abc import Container, Iterable

from posthouse.mail.message import LANES, Lane
from posthouse.transport.base import Envelope
from posthouse.transport.smtp.transaction import Transaction


class Lanes:
    """A row of transactions for each lane."""

    def __init__(self) -> None:
        self._rows: dict[Lane, deque[Transaction]] = {lane: deque() for lane in LANES}

    def add(self, envelopes: Iterable[Envelope]) -> None:
        """Puts them at the end of their rows."""
        for envelope in envelopes:
            self._rows[envelope.lane].append(Transaction(envelope))

    def put_back(self, transaction: Transaction) -> None:
        """Puts one that came to nothing at the head of its row."""
        self._rows[transaction.envelope.lane].appendleft(transaction)

    def count(self, lane: Lane) -> int:
        """How many wait in a lane."""
        return len(self._rows[lane])

    def next(self, bulk: bool) -> Lane | None:
        """The lane whose turn it is; `bulk` says whether bulk may go now."""
        if self._rows["transactional"]:
            return "transactional"
        return "bulk" if bulk and self._rows["bulk"] else None

    def behind(self, lane: Lane) -> bool:
        """Whether one of this lane may go behind another of it: nothing of a higher lane waits."""
        return bool(self._rows[lane]) and (lane == "transactional" or not self._rows["transactional"])

    def take(self, lane: Lane) -> Transaction:
        """The first of a lane that is not empty."""
        return self._rows[lane].popleft()

    def clear(self, ids: Container[str] | None = None) -> list[Transaction]:
        """Everything that waits, or what of it has one of these ids; it waits no more."""
        gone: deque[Transaction] = deque()
        for row in self._rows.values():
            for _ in range(len(row)):
                transaction = row.popleft()
                (gone if ids is None or transaction.envelope.id in ids else row).append(transaction)
        return [*gone]
