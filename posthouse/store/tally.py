"""What a batch of writes adds to the counters, so that no request ever counts a table.

Counters: `created`, `sent` and `failed` by quarter of an hour (when a status was first reached), and `state:<state>`
with bucket 0, how many messages are in that state now. A store adds the tally in the transaction of the writes. What
records that are kept no longer once added to the first three stays in them, and is counted as `gone:…` beside them.
"""

from typing import NamedTuple

from posthouse.mail.lifecycle import State
from posthouse.mail.message import SECOND, Message

QUARTER = 900 * SECOND
"""The width of a bucket, in microseconds."""
CREATED = "created"
GONE = "gone:"
"""Before the name of a counter: how much of it comes from records that are kept no longer."""


def state_counter(state: State) -> str:
    """The name of the counter (bucket 0) of the messages that are in a state now."""
    return f"state:{state}"


class Before(NamedTuple):
    """What the counters knew of a message before a change."""

    state: State
    sent_at: int | None
    failed_at: int | None


def before(message: Message) -> Before:
    """Notes what a change may alter."""
    return Before(message.state, message.sent_at, message.failed_at)


class Tally:
    """Sums of changes: (counter name, bucket) → how much to add."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int], int] = {}

    def created(self, message: Message) -> None:
        """A new record."""
        self._add(CREATED, _bucket(message.created_at), 1)
        self._add(state_counter(message.state), 0, 1)
        self._firsts(None, None, message)

    def changed(self, was: Before, message: Message) -> None:
        """A record after a change."""
        if was.state != message.state:
            self._add(state_counter(was.state), 0, -1)
            self._add(state_counter(message.state), 0, 1)
        self._firsts(was.sent_at, was.failed_at, message)

    def removed(self, message: Message) -> None:
        """A record that is kept no longer."""
        self._add(state_counter(message.state), 0, -1)
        times = {CREATED: message.created_at, "sent": message.sent_at, "failed": message.failed_at}
        for name, at in times.items():
            if at is not None:
                self._add(GONE + name, _bucket(at), 1)

    def _firsts(self, sent_at: int | None, failed_at: int | None, message: Message) -> None:
        if sent_at is None and message.sent_at is not None:
            self._add("sent", _bucket(message.sent_at), 1)
        if failed_at is None and message.failed_at is not None:
            self._add("failed", _bucket(message.failed_at), 1)

    def _add(self, name: str, bucket: int, n: int) -> None:
        self.sums[name, bucket] = self.sums.get((name, bucket), 0) + n


def _bucket(at: int) -> int:
    return at - at % QUARTER
