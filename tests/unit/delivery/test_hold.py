"""Holding what is due: on a real store, everything that may have been sent, and nothing that cannot have been."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.delivery.hold import WHY, Held, hold
from posthouse.store.audit import audit
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.campaign_office import added, frozen, messages, ready, riders, started
from posthouse.testing.store_mail import ACCEPTED, DEFERRED, LONG, UNKNOWN, draft, record, said, saved, settle


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


async def leased(store: SqliteStore, lease: float = LONG, **more: object):
    (message,) = await saved(store, **more)
    (message,) = await store.claim("worker", 1, lease, ids=[message.id])
    return message


async def lost_twice(store: SqliteStore):
    """Mail that is claimed only alone."""
    message = await leased(store)
    message = await settle(store, said(message, UNKNOWN, lost=True))
    (message,) = await store.claim("worker", 1, LONG, ids=[message.id])
    return await settle(store, said(message, UNKNOWN, lost=True))


async def test_what_is_due_is_held_and_nothing_else(store: SqliteStore) -> None:
    due = (await saved(store))[0]
    bulk = (await messages(store, await ready(store, 1)))[0]
    again = await settle(store, said(await leased(store), DEFERRED))
    in_hand = await leased(store)
    lapsed = await leased(store, lease=0.0)
    alone = await lost_twice(store)
    late = (await saved(store, expire=0.0))[0]
    later = (await saved(store, scheduled_at=1 << 51))[0]
    sent = await settle(store, said(await leased(store), ACCEPTED))
    before = await record(store, later.id), await record(store, sent.id)

    assert await hold(store) == Held(held=7, later=1)

    for message in (due, bulk, again, in_hand, lapsed, alone, late):
        now = await record(store, message.id)
        assert (now.state, now.error, now.owner, now.due_at) == ("unknown", WHY, None, None)
        assert now.attempts == (await record(store, message.id)).attempts
    assert (await record(store, later.id), await record(store, sent.id)) == before
    assert (await audit(store)).findings == []
    assert await store.next_due() is not None  # only what is due later


async def test_held_again_nothing_happens(store: SqliteStore) -> None:
    await saved(store, 1200)
    assert (await hold(store)).held == 1200
    assert await hold(store) == Held()


async def test_nothing_is_spent_and_a_person_can_send_it(store: SqliteStore) -> None:
    message = await settle(store, said(await leased(store), DEFERRED))
    await hold(store)
    (recipient,) = (await record(store, message.id)).recipients
    assert (recipient.attempts, recipient.spent, recipient.uncertain) == (1, 1, 0)
    await store.retry(message.id, LONG)
    assert [each.id for each in await store.claim("worker", 9, LONG)] == [message.id]


async def test_of_several_recipients_only_the_open_ones_are_held(store: SqliteStore) -> None:
    (saved_,) = await store.save([draft("a@x.example", "b@x.example")])
    (message,) = await store.claim("worker", 1, LONG, ids=[saved_.message.id])
    await settle(store, said(message, ACCEPTED, DEFERRED))
    await hold(store)
    states = [recipient.state for recipient in (await record(store, message.id)).recipients]
    assert states == ["sent", "unknown"]


async def test_a_campaign_that_was_at_work_is_paused(store: SqliteStore) -> None:
    """Those of its audience who have no mail yet may have got one since; one that is to begin later could not."""
    id = (await added(store, *riders(3))).id
    await started(store, id)
    await frozen(store, id)
    later = (await added(store, *riders(3), scheduled_at=1 << 51)).id
    assert (await hold(store)).paused == 1
    found = {each.id: (each.phase, counts.total) for each, counts in await store.campaigns(9)}
    assert found == {id: ("paused", 3), later: ("waiting", 0)}
    assert (await store.acts(1, about=f"campaign:{id}"))[0].by == "hold"
    assert await hold(store) == Held()
