"""Hints go out in batches by lane, and a queue that fails costs nobody anything."""

from collections.abc import Sequence

from posthouse.mail.message import Lane, Message, Recipient
from posthouse.queue.base import Hint, QueueAway
from posthouse.submission.hints import Hints


class Wire:
    """A queue as an adapter of a newcomer: it keeps what is published, or is away."""

    def __init__(self) -> None:
        self.published: list[Hint] = []
        self.away: Exception | None = None

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def consume(self, handler: object) -> None: ...
    async def depth(self) -> dict[Lane, int]:
        return {}

    async def publish(self, hints: Sequence[Hint]) -> None:
        if self.away is not None:
            raise self.away
        self.published.extend(hints)


def _message(id: str, lane: Lane = "transactional") -> Message:
    return Message(id=id, message_id=f"<{id}@x>", lane=lane, recipients=[Recipient("a@example.org")])


async def test_one_hint_for_each_lane() -> None:
    wire = Wire()
    hints = Hints(wire)
    hints.tell([_message("1"), _message("2", "bulk"), _message("3")])
    await hints.drain()
    assert wire.published == [Hint("transactional", ("1", "3")), Hint("bulk", ("2",))]


async def test_a_queue_that_is_away_is_passed_over() -> None:
    wire = Wire()
    hints = Hints(wire)
    for error in (QueueAway(), ValueError("a bug of the adapter")):
        wire.away = error
        hints.tell([_message("1")])
        await hints.drain()
    wire.away = None
    hints.tell([_message("2")])
    await hints.drain()
    assert wire.published == [Hint("transactional", ("2",))]
