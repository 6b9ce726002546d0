"""The Settler: outcomes reach the store in batches, whatever it says meanwhile, and none is dropped but the culprit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from posthouse.delivery.settle import Settler
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Message
from posthouse.mail.retry import Decision
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import ACCEPTED, LONG, record, said, saved


class Weak(SqliteStore):
    """A SQLite store that is away for the first `away` settles, and notes how many came in each."""

    away = 0

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[int] = []

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        self.batches.append(len(settlements))
        if self.away > 0:
            self.away -= 1
            raise StoreAway("SQLite: as if the disk were full")
        return await super().settle(settlements)


class Heard:
    """What a Settler told."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Settlement, Message | None]] = []

    def __call__(self, pairs: Sequence[tuple[Settlement, Message | None]]) -> None:
        self.pairs += pairs


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Weak]:
    store = Weak(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


async def claimed(store: Weak, count: int) -> list[Message]:
    await saved(store, count)
    return await store.claim("worker", count, LONG)


async def test_what_comes_together_is_settled_together(store: Weak) -> None:
    heard = Heard()
    settler = Settler(store, heard)
    messages = await claimed(store, store.batch + 50)
    for message in messages:
        settler.add(said(message, ACCEPTED))
    assert await settler.drain(20)
    assert store.batches == [store.batch, 50]
    assert [message.id for _, message in heard.pairs if message] == [message.id for message in messages]
    assert (await store.overview()).states["sent"] == store.batch + 50


async def test_a_store_that_is_away_is_asked_again(store: Weak) -> None:
    heard = Heard()
    settler = Settler(store, heard)
    first, second = await claimed(store, 2)
    store.away = 2
    settler.add(said(first, ACCEPTED))
    await asyncio.sleep(0)
    settler.add(said(second, ACCEPTED))
    assert not await settler.drain(0.01)
    assert heard.pairs == []
    assert await settler.drain(20)
    assert [message and message.state for _, message in heard.pairs] == ["sent", "sent"]


async def test_a_stale_one_is_told_as_such(store: Weak) -> None:
    heard = Heard()
    settler = Settler(store, heard)
    (message,) = await claimed(store, 1)
    await store.release([(message.id, message.fence)], 0.0)
    settler.add(said(message, ACCEPTED))
    assert await settler.drain(20)
    assert [message for _, message in heard.pairs] == [None]


async def test_only_the_culprit_of_a_batch_is_given_up(store: Weak) -> None:
    """A decision that no lifecycle allows: a bug, and no reason to lose the outcomes beside it."""
    heard = Heard()
    settler = Settler(store, heard)
    one, bad, two = await claimed(store, 3)
    wrong = Decision(event="cancel", outcome=ACCEPTED)
    email = bad.recipients[0].email
    settler.add(said(one, ACCEPTED))
    settler.add(Settlement(id=bad.id, fence=bad.fence, decisions={email: wrong}))
    settler.add(said(two, ACCEPTED))
    assert await settler.drain(20)
    assert {s.id: message and message.state for s, message in heard.pairs} == {
        one.id: "sent",
        bad.id: None,
        two.id: "sent",
    }
    assert (await record(store, bad.id)).owner == "worker", "its lease will lapse"


async def test_nothing_to_drain(store: Weak) -> None:
    assert await Settler(store, Heard()).drain(0.0)
