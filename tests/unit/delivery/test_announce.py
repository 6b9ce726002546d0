"""The Announcer: an outcome is told before it is let go, and followed until the record shows it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest

from posthouse.delivery import announce
from posthouse.delivery.announce import Announcer
from posthouse.delivery.attempt import Attempt
from posthouse.delivery.heed import heed
from posthouse.delivery.journal import Journal
from posthouse.mail.advance import Settlement
from posthouse.mail.events import EmailStatusEvent
from posthouse.mail.message import Message
from posthouse.queue.base import QueueAway
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import ACCEPTED, DEFERRED, LONG, record, said, saved
from tests.unit.delivery.parts import attempt, eventually, opened_journal


class Wire:
    """A queue for status events: `events` are on their way; `away` raises QueueAway."""

    def __init__(self) -> None:
        self.events: list[EmailStatusEvent] = []
        self.away = False

    async def __call__(self, events: Sequence[EmailStatusEvent]) -> None:
        if self.away:
            raise QueueAway("as if it were gone")
        self.events += events


class House:
    """An announcer and what it told its worker."""

    def __init__(self, store: SqliteStore, journal: Journal, lease: float = LONG) -> None:
        self.store, self._journal, self.wire = store, journal, Wire()
        self.done: list[tuple[Settlement, Message | None]] = []
        self.shown: list[str] = []
        self.announcer = Announcer(store, self.wire, "worker", lease, self.done.extend, self._shown)

    async def claim(self, count: int = 1) -> list[Message]:
        await saved(self.store, count)
        return await self.store.claim("worker", count, LONG)

    def add(self, message: Message, *outcomes) -> None:
        self.announcer.add(self._attempt(message), said(message, *outcomes))

    def _attempt(self, message: Message) -> Attempt:
        return attempt(message, self._journal, lambda attempt, settlement: None)

    def _shown(self, ids: Iterable[str]) -> None:
        self.shown += ids


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(announce, "LOOK", 0.05)
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    journal = opened_journal(tmp_path)
    house = House(store, journal)
    yield house
    await house.announcer.drain(5)
    await store.stop()


async def test_told_it_is_let_go_and_shown_once_the_record_has_it(house: House) -> None:
    """Until then it is leased to us and the journal keeps it."""
    (message,) = await house.claim()
    house.add(message, ACCEPTED)
    await eventually(lambda: house.done)
    (event,) = house.wire.events
    assert (event.event_id, event.status, event.attempt, event.fence) == (message.id, "SENT", 1, 1)
    assert [message and message.state for _, message in house.done] == ["sent"]
    assert (house.shown, (await record(house.store, message.id)).owner) == ([], "worker")
    await heed(house.store)(house.wire.events)
    await eventually(lambda: house.shown == [message.id])
    assert (await record(house.store, message.id)).state == "sent"
    assert len(house.done) == 1


async def test_a_lost_event_heals(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "LATE", 0.2)
    first, second = await house.claim(2)
    house.add(first, ACCEPTED)
    house.add(second, DEFERRED)
    await eventually(lambda: len(house.shown) == 2)
    assert (await record(house.store, first.id)).state == "sent"
    assert (await record(house.store, second.id)).state == "deferred"
    assert await heed(house.store)(house.wire.events) == [None, None], "then it comes, and is late"
    assert [(await record(house.store, each.id)).attempts for each in (first, second)] == [1, 1]
    assert len(house.done) == 2


async def test_a_queue_that_is_away_is_gone_around(house: House) -> None:
    house.wire.away = True
    (message,) = await house.claim()
    house.add(message, ACCEPTED)
    await eventually(lambda: house.shown)
    assert (await record(house.store, message.id)).state == "sent"
    assert [settled and settled.state for _, settled in house.done] == ["sent"]


async def test_a_record_that_takes_long_keeps_its_lease(house: House) -> None:
    short = 0.6
    await saved(house.store)
    (message,) = await house.store.claim("worker", 1, short)
    house.announcer._lease = short
    house.add(message, ACCEPTED)
    loop = asyncio.get_running_loop()
    ends = loop.time() + 3 * short
    while loop.time() < ends:
        assert await house.store.lapsed("other", 1, LONG) == []
        await asyncio.sleep(0.05)
    assert (await record(house.store, message.id)).owner == "worker"


async def test_leased_anew_before_anybody_looked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record showed the outcome, was due again, and the same worker has it: the old one is over, and only that."""
    monkeypatch.setattr(announce, "LOOK", 60.0)
    (message,) = await house.claim()
    house.add(message, DEFERRED)
    await eventually(lambda: house.done)
    await heed(house.store)(house.wire.events)
    (again,) = await house.store.claim("worker", 1, LONG)
    assert again.id == message.id
    house.announcer.outlived([again.id])
    assert house.shown == [message.id]
    house.add(again, ACCEPTED)
    await eventually(lambda: len(house.done) == 2)
    assert house.shown == [message.id]


async def test_a_stop_settles_what_no_record_shows(house: House) -> None:
    messages = await house.claim(3)
    for message in messages:
        house.add(message, ACCEPTED)
    assert await house.announcer.drain(5)
    assert {(await record(house.store, message.id)).state for message in messages} == {"sent"}
    assert len(house.wire.events) == len(house.done) == len(house.shown) == 3
