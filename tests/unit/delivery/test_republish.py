"""The Republisher: what nobody took is published again, at doubling intervals; nothing else is."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from posthouse.delivery.republish import ENOUGH, Republisher
from posthouse.mail.message import SECOND, Lane
from posthouse.queue.base import Handler, Hint
from posthouse.store.base import EVENT, EVENT_SECONDS, Draft, Key
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import ACCEPTED, DEFERRED, LONG, draft, microseconds, said, saved


class Board:
    """A queue that shows what was published."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.waiting = 0

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def consume(self, handler: Handler) -> None: ...

    async def publish(self, hints: Sequence[Hint]) -> None:
        self.published += [id for hint in hints for id in hint.ids]

    async def depth(self) -> dict[Lane, int]:
        return {"transactional": self.waiting, "bulk": 0}


class Clock:
    """Now, and `seconds` later."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> int:
        return microseconds() + round(self.seconds * SECOND)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


async def test_after_a_minute_then_twice_as_long_each_time(store: SqliteStore) -> None:
    (message,) = await saved(store)
    board, clock = Board(), Clock()
    republisher = Republisher(store, board, 60.0, clock)
    times: list[int] = []
    for second in range(0, 1000, 15):
        clock.seconds = second + 0.5
        await republisher.look()
        times += [second] * (len(board.published) - len(times))
    assert set(board.published) == {message.id}
    assert times == [60, 180, 420, 900]


async def test_at_its_start_whatever_waits(store: SqliteStore) -> None:
    """Many pages of it, and once."""
    await saved(store, 250)
    board, clock = Board(), Clock()
    clock.seconds = 500.0
    republisher = Republisher(store, board, 60.0, clock)
    await republisher.look()
    assert len(set(board.published)) == len(board.published) == 250
    await republisher.look()
    assert len(board.published) == 250


async def test_what_is_leased_or_closed_or_due_later_is_passed_over(store: SqliteStore) -> None:
    await saved(store, 4)
    leased, sent, later = await store.claim("worker", 3, LONG)
    await store.settle([said(sent, ACCEPTED)])
    await store.settle([said(later, DEFERRED)])
    board, clock = Board(), Clock()
    clock.seconds = 100.0
    await Republisher(store, board, 60.0, clock).look()
    assert leased.id not in board.published
    assert sent.id not in board.published
    assert len(board.published) >= 1


async def test_under_its_producer_s_name(store: SqliteStore) -> None:
    fresh = draft()
    fresh.message.event_id = "order-1"
    await store.save([Draft(fresh.message, fresh.content, Key(EVENT, "order-1", b"", EVENT_SECONDS))])
    board, clock = Board(), Clock()
    clock.seconds = 100.0
    await Republisher(store, board, 60.0, clock).look()
    assert board.published == ["order-1"]


async def test_while_many_wait_nothing_is_added_and_nothing_forgotten(store: SqliteStore) -> None:
    await saved(store)
    board, clock = Board(), Clock()
    republisher = Republisher(store, board, 60.0, clock)
    await republisher.look()
    board.waiting, clock.seconds = ENOUGH, 70.0
    await republisher.look()
    assert board.published == []
    board.waiting, clock.seconds = 0, 100.0
    await republisher.look()
    assert len(board.published) == 1
