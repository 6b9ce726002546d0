"""Heed: events become records, in batches, whatever order they come in."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from posthouse.delivery.heed import FAILED, NO_MAIL, heed
from posthouse.mail.advance import Settlement
from posthouse.mail.events import StatusRecipient
from posthouse.mail.message import Message
from posthouse.store.base import EVENT, EVENT_SECONDS, Draft, Key
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import LONG, draft, record, saved
from tests.unit.mail.test_status import foreign, told


class Noting(SqliteStore):
    """Notes how many settlements came in each call; `bad` ids cannot be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[int] = []
        self.bad: set[str] = set()

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        self.batches.append(len(settlements))
        if any(each.id in self.bad for each in settlements):
            raise RuntimeError("a bug")
        return await super().settle(settlements)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Noting]:
    store = Noting(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


async def test_a_batch_is_one_write(store: Noting) -> None:
    await saved(store, 3)
    claimed = await store.claim("worker", 3, LONG)
    events = [
        told(
            message.id,
            fence=message.fence,
            recipients=[StatusRecipient(email=message.recipients[0].email, state="sent", code=250)],
        )
        for message in claimed
    ]
    assert await heed(store)([*events, *events]) == [None] * 6
    assert store.batches == [3, 3], "what comes twice is stale the second time"
    assert {(await record(store, message.id)).state for message in claimed} == {"sent"}


async def test_in_their_order(store: Noting) -> None:
    (message,) = await saved(store)
    events = [foreign("PENDING", 1), foreign("PENDING", 2), foreign("SENT", 3)]
    named = [msgspec.structs.replace(event, event_id=message.id) for event in events]
    assert await heed(store)(named) == [None] * 3
    after = await record(store, message.id)
    assert (after.state, after.attempts) == ("sent", 3)


async def test_a_producer_s_own_name_leads_to_the_record(store: Noting) -> None:
    fresh = draft()
    await store.save([Draft(fresh.message, fresh.content, Key(EVENT, "order-1", b"", EVENT_SECONDS))])
    assert await heed(store)([msgspec.structs.replace(foreign("SENT"), event_id="order-1")]) == [None]
    assert (await record(store, fresh.message.id)).state == "sent"


async def test_what_leads_nowhere_is_said_and_what_is_late_is_not(store: Noting) -> None:
    (message,) = await saved(store)
    assert await heed(store)([foreign("SENT"), told(message.id, fence=7)]) == [NO_MAIL, None]


async def test_only_the_culprit_fails(store: Noting) -> None:
    one, bad, two = await saved(store, 3)
    store.bad = {bad.id}
    events = [msgspec.structs.replace(foreign("SENT"), event_id=each.id) for each in (one, bad, two)]
    assert await heed(store)(events) == [None, FAILED, None]
    assert [(await record(store, each.id)).state for each in (one, bad, two)] == ["sent", "pending", "sent"]
