"""The store contract, part three: what outcomes and people make of a record."""

import msgspec

from posthouse.mail.message import Message, Took
from posthouse.mail.retry import Policy
from posthouse.store.base import Store
from posthouse.testing.store_mail import (
    ACCEPTED,
    DEFERRED,
    LONG,
    NOT_BEGUN,
    REFUSED,
    UNKNOWN,
    draft,
    everything,
    microseconds,
    record,
    said,
    saved,
    settle,
)


async def claimed(store: Store, *recipients: str) -> Message:
    """A new message, leased to `worker`."""
    await store.save([draft(*recipients)])
    (message,) = await store.claim("worker", 1, LONG)
    return message


class Settling:
    """See StoreContract."""

    async def test_an_accepted_mail_is_sent_and_closed(self, store: Store) -> None:
        message = await claimed(store)
        settled = await settle(store, said(message, ACCEPTED))
        assert settled == await record(store, message.id)
        assert (settled.state, settled.status, settled.owner, settled.due_at) == ("sent", "SENT", None, None)
        assert settled.version == message.version + 1
        assert settled.sent_at is not None
        assert abs(settled.sent_at - microseconds()) < 5_000_000
        last = settled.history[-1]
        assert (last.event, last.attempt, last.transport, last.code) == ("sent", 1, "test:", 250)
        assert await store.claim("worker", 1, LONG) == []

    async def test_what_an_attempt_took_is_kept(self, store: Store) -> None:
        message = await claimed(store)
        told = msgspec.structs.replace(said(message, DEFERRED), took=Took(1200, 30, 4))
        assert (await settle(store, told)).took == Took(1200, 30, 4)
        (again,) = await store.claim("worker", 1, LONG)
        assert (await settle(store, said(again, NOT_BEGUN))).took == Took(1200, 30, 4), "none was begun"
        (again,) = await store.claim("worker", 1, LONG)
        assert (await settle(store, said(again, UNKNOWN, lost=True))).took is None, "nobody can tell"

    async def test_each_recipient_has_its_own_decision(self, store: Store) -> None:
        message = await claimed(store, "sent@x.example", "refused@x.example", "later@x.example")
        settled = await settle(store, said(message, ACCEPTED, REFUSED, DEFERRED))
        assert [r.state for r in settled.recipients] == ["sent", "failed", "deferred"]
        assert [r.code for r in settled.recipients] == [250, 550, 451]
        assert settled.status == "PENDING"
        (again,) = await store.claim("worker", 1, LONG)
        assert [r.state for r in again.recipients] == ["sent", "failed", "sending"]
        settled = await settle(store, said(again, ACCEPTED))
        assert [r.attempts for r in settled.recipients] == [1, 1, 2]
        assert (settled.status, settled.due_at) == ("SENT", None)
        assert settled.error == "refused@x.example: no such user"

    async def test_a_deferred_mail_waits_as_long_as_decided(self, store: Store) -> None:
        message = await claimed(store)
        settled = await settle(store, said(message, DEFERRED, policy=Policy(backoff=LONG / 2)))
        assert settled.due_at is not None
        assert settled.due_at > microseconds(LONG / 2 - 5)
        assert await store.claim("worker", 1, LONG) == []

    async def test_what_would_wait_beyond_its_time_fails_now(self, store: Store) -> None:
        message = await claimed(store)
        settled = await settle(store, said(message, DEFERRED, policy=Policy(backoff=LONG)))
        assert (settled.state, settled.due_at) == ("failed", None)

    async def test_a_settlement_counts_once(self, store: Store) -> None:
        message = await claimed(store)
        settlement = said(message, DEFERRED)
        first = await settle(store, settlement)
        assert await store.settle([settlement, said(message, ACCEPTED)]) == [None, None]
        assert await record(store, message.id) == first

    async def test_a_stale_fence_changes_nothing(self, store: Store) -> None:
        old = await claimed(store)
        await store.release([(old.id, old.fence)], 0.0)
        assert await store.settle([said(old, ACCEPTED)]) == [None]
        (new,) = await store.claim("other", 1, LONG)
        assert await store.settle([said(old, ACCEPTED)]) == [None]
        assert await record(store, old.id) == new

    async def test_a_stale_fence_beside_a_good_one(self, store: Store) -> None:
        """In one batch, in either order: the good one counts, and each is answered for itself."""
        for stale_first in (True, False):
            old = await claimed(store)
            await store.release([(old.id, old.fence)], 0.0)
            (new,) = await store.claim("worker", 1, LONG)
            batch = [said(old, REFUSED), said(new, ACCEPTED)]
            answers = await store.settle(batch if stale_first else batch[::-1])
            stale, good = answers if stale_first else answers[::-1]
            assert stale is None
            assert good is not None
            assert good.state == "sent"

    async def test_an_unknown_id_beside_good_ones(self, store: Store) -> None:
        one = await claimed(store)
        ghost = draft().message
        two = await claimed(store)
        answers = await store.settle([said(one, ACCEPTED), said(ghost, ACCEPTED), said(two, REFUSED)])
        assert [answer and answer.state for answer in answers] == ["sent", None, "failed"]

    async def test_what_was_not_begun_spends_nothing(self, store: Store) -> None:
        message = await claimed(store)
        settled = await settle(store, said(message, NOT_BEGUN))
        assert (settled.state, settled.attempts, settled.recipients[0].spent) == ("pending", 0, 0)
        assert [entry.event for entry in settled.history] == ["accepted"]

    async def test_unknown_is_uncertain_and_ends_when_attempts_are_spent(self, store: Store) -> None:
        await saved(store)
        states: list[str] = []
        while messages := await store.claim("worker", 1, LONG):
            settled = await settle(store, said(messages[0], UNKNOWN))
            states.append(settled.state if settled else "stale")
        (ended,) = await everything(store)
        assert states == ["deferred", "deferred", "unknown"]
        assert (ended.status, ended.uncertain, ended.due_at, ended.failed_at) == ("PENDING", 3, None, None)

    async def test_deaths_add_up_and_a_settled_attempt_clears_them(self, store: Store) -> None:
        message = await claimed(store)
        settled = await settle(store, said(message, NOT_BEGUN, lost=True))
        assert settled.losses == 1
        (again,) = await store.claim("worker", 1, LONG)
        settled = await settle(store, said(again, DEFERRED))
        assert settled.losses == 0

    async def test_retry_makes_the_failed_due_again(self, store: Store) -> None:
        message = await claimed(store, "sent@x.example", "refused@x.example")
        settled = await settle(store, said(message, ACCEPTED, REFUSED))
        retried = await store.retry(message.id, 2 * LONG)
        assert retried is not None
        assert retried == await record(store, message.id)
        assert [r.state for r in retried.recipients] == ["sent", "pending"]
        assert (retried.status, retried.recipients[1].spent, retried.recipients[1].attempts) == (
            "PENDING",
            0,
            1,
        )
        assert retried.expires_at > microseconds(2 * LONG - 5)
        assert retried.sent_at == settled.sent_at
        (again,) = await store.claim("worker", 1, LONG)
        assert again.fence == message.fence + 1

    async def test_retry_of_what_is_not_failed_changes_nothing(self, store: Store) -> None:
        message = await claimed(store)
        assert await store.retry(message.id, LONG) == message
        sent = await settle(store, said(message, ACCEPTED))
        assert await store.retry(message.id, LONG) == sent
        assert await record(store, message.id) == sent

    async def test_first_times_are_kept(self, store: Store) -> None:
        message = await claimed(store)
        failed = await settle(store, said(message, REFUSED))
        assert failed.failed_at is not None
        await store.retry(message.id, LONG)
        (again,) = await store.claim("worker", 1, LONG)
        sent = await settle(store, said(again, ACCEPTED))
        assert (sent.failed_at, sent.status) == (failed.failed_at, "SENT")
        assert sent.sent_at is not None
        assert sent.sent_at >= failed.failed_at

    async def test_a_large_batch_is_settled_whole(self, store: Store) -> None:
        await saved(store, 200)
        messages = await store.claim("worker", 200, LONG)
        answers = await store.settle([said(message, ACCEPTED) for message in messages])
        assert [answer and answer.id for answer in answers] == [message.id for message in messages]
        assert (await store.overview()).states["sent"] == 200
