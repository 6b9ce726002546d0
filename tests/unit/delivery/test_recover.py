"""After a worker's death: what its journal tells is settled at once; what nobody can tell is unknown."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.delivery.journal import Journal
from posthouse.delivery.recover import (
    LINK_LOST,
    WORKER_LOST,
    expired,
    settle_journals,
    take_over,
    worker_lost,
)
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Message
from posthouse.mail.retry import Policy
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import ACCEPTED, AT_ONCE, LONG, REFUSED, draft, record, saved


class Deceased:
    """A worker that claims, notes in its journal, and dies."""

    def __init__(self, folder: Path, store: SqliteStore) -> None:
        self.folder = folder / "journals"
        self.store = store
        self.journal = Journal(self.folder, "dead", store.identity)
        self.journal.open()
        self.told: list[tuple[Settlement, Message | None]] = []

    async def claim(self, *recipients: str, lane="transactional") -> Message:
        await self.store.save([draft(*recipients, lane=lane)])
        (message,) = await self.store.claim("dead", 1, LONG)
        return message

    def begin(self, message: Message, *replies) -> None:
        emails = [recipient.email for recipient in message.recipients]
        self.journal.begin(message.id, message.fence, "hop:", dict(zip(emails, replies, strict=True)))

    def reply(self, message: Message, *outcomes) -> None:
        emails = [recipient.email for recipient in message.recipients]
        self.journal.reply(message.id, message.fence, dict(zip(emails, outcomes, strict=True)))

    async def settled(self, policy: Policy = AT_ONCE) -> int:
        """It dies, and is found by another."""
        self.journal._let_go()
        return await settle_journals(
            self.folder, self.store, policy, lambda s, message: self.told.append((s, message))
        )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def dead(tmp_path: Path, store: SqliteStore) -> Deceased:
    return Deceased(tmp_path, store)


async def test_without_begin_it_is_due_again_and_nothing_is_spent(dead: Deceased) -> None:
    message = await dead.claim()
    assert await dead.settled() == 1
    left = await record(dead.store, message.id)
    assert (left.state, left.attempts, left.uncertain, left.losses, left.owner) == ("pending", 0, 0, 1, None)
    assert len(await dead.store.claim("next", 1, LONG)) == 1


async def test_a_claim_that_is_answered_after_the_death_is_due_again_too(dead: Deceased) -> None:
    """The journal stays until none can be on its way any more."""
    dead.journal._let_go()
    for is_over, left in ((False, 1), (True, 0)):
        message = await dead.claim()
        freed = await settle_journals(
            dead.folder, dead.store, AT_ONCE, lambda *_: None, lambda _, over=is_over: over
        )
        assert freed == 1
        assert (await record(dead.store, message.id)).uncertain == 0
        assert len(list(dead.folder.iterdir())) == left


async def test_with_a_reply_it_is_that_outcome(dead: Deceased) -> None:
    message = await dead.claim("a@x.example", "b@x.example")
    dead.begin(message, None, REFUSED)
    dead.reply(message, ACCEPTED, REFUSED)
    assert await dead.settled() == 1
    left = await record(dead.store, message.id)
    assert [(r.state, r.attempts, r.uncertain) for r in left.recipients] == [("sent", 1, 0), ("failed", 1, 0)]
    assert left.history[-1].transport == "hop:"
    assert dead.told[0][1] == left


async def test_begin_alone_is_unknown_for_those_that_were_taken(dead: Deceased) -> None:
    message = await dead.claim("a@x.example", "b@x.example")
    dead.begin(message, None, REFUSED)
    await dead.settled()
    left = await record(dead.store, message.id)
    assert [(r.state, r.uncertain) for r in left.recipients] == [("deferred", 1), ("failed", 0)]
    assert left.recipients[0].error == LINK_LOST


async def test_unknown_bulk_is_held(dead: Deceased) -> None:
    message = await dead.claim(lane="bulk")
    dead.begin(message, None)
    await dead.settled()
    left = await record(dead.store, message.id)
    assert (left.state, left.due_at) == ("unknown", None)


async def test_what_the_journal_says_of_an_earlier_lease_says_nothing(dead: Deceased) -> None:
    message = await dead.claim()
    dead.begin(message, None)
    dead.reply(message, REFUSED)
    await dead.store.release([(message.id, message.fence)], 0.0)
    await dead.store.claim("dead", 1, LONG)
    await dead.settled()
    left = await record(dead.store, message.id)
    assert (left.state, left.attempts) == ("pending", 0)


async def test_what_it_no_longer_held_is_left_alone(dead: Deceased) -> None:
    message = await dead.claim()
    dead.begin(message, None)
    await dead.store.release([(message.id, message.fence)], 0.0)
    (other,) = await dead.store.claim("other", 1, LONG)
    assert await dead.settled() == 0
    assert await record(dead.store, message.id) == other


async def test_a_journal_is_gone_when_its_word_is_in_the_store(dead: Deceased) -> None:
    message = await dead.claim()
    dead.begin(message, None)
    assert await dead.settled() == 1
    assert list(dead.folder.iterdir()) == []
    assert await settle_journals(dead.folder, dead.store, AT_ONCE, lambda *_: None) == 0


async def test_while_the_store_is_away_the_journal_stays(dead: Deceased) -> None:
    class Away(SqliteStore):
        async def settle(self, settlements):
            raise StoreAway("locked")

    message = await dead.claim()
    dead.begin(message, None)
    away = Away(dead.store._path)
    await away.start()
    store, dead.store = dead.store, away
    with pytest.raises(StoreAway):
        await dead.settled()
    await away.stop()
    assert await settle_journals(dead.folder, store, AT_ONCE, lambda *_: None) == 1
    assert (await record(store, message.id)).uncertain == 1


async def test_a_lapsed_lease_without_a_journal_is_unknown(store: SqliteStore) -> None:
    await store.save([draft("a@x.example", "b@x.example")])
    await store.claim("dead", 1, 0.0)
    (taken,) = await store.lapsed("rescuer", 1, LONG)
    (left,) = await store.settle([worker_lost(taken, AT_ONCE)])
    assert left is not None
    assert [(r.state, r.uncertain, r.error) for r in left.recipients] == [("deferred", 1, WORKER_LOST)] * 2
    assert (left.losses, left.attempts) == (1, 1)


async def test_a_taker_that_dies_too_does_not_make_it_untouched(dead: Deceased, store: SqliteStore) -> None:
    """Its journal knows nothing of what it only took over, and must not be asked: the mail may have been sent."""
    await store.save([draft()])
    (message,) = await store.claim("gone", 1, 0.0)
    assert len(await take_over(store, "dead", 1, 0.0, AT_ONCE)) == 1
    assert await dead.settled() == 0
    assert (await record(store, message.id)).state == "sending"
    (left,) = await store.settle(await take_over(store, "next", 1, LONG, AT_ONCE))
    assert left is not None
    assert (left.state, left.uncertain) == ("deferred", 1)


async def test_mail_whose_time_is_over_fails_with_its_last_error(store: SqliteStore) -> None:
    await saved(store, expire=0.0)
    (late,) = await store.expired("worker", 1, LONG)
    late.recipients[0].error, late.recipients[0].code = "greylisted", 450
    (left,) = await store.settle([expired(late)])
    assert left is not None
    assert (left.state, left.error, left.recipients[0].code) == (
        "failed",
        "expired; the last try: greylisted",
        450,
    )
    assert (left.attempts, left.losses) == (0, 0)


async def test_mail_whose_time_was_over_before_its_first_try(store: SqliteStore) -> None:
    await saved(store, expire=0.0)
    (late,) = await store.expired("worker", 1, LONG)
    (left,) = await store.settle([expired(late)])
    assert left is not None
    assert left.error == "expired before its first try"
