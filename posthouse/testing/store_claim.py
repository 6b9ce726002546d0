"""The store contract, part two: who gets which mail to work on, how long, and under which fence."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from posthouse.mail.message import SECOND, Message
from posthouse.store.base import Store
from posthouse.testing.store_mail import (
    ACCEPTED,
    DEFERRED,
    LONG,
    NOT_BEGUN,
    REFUSED,
    UNKNOWN,
    draft,
    microseconds,
    record,
    said,
    saved,
    settle,
)

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


class Claiming:
    """See StoreContract."""

    async def test_a_claim_leases(self, store: Store) -> None:
        (message,) = await saved(store, 1)
        before = microseconds()
        (claimed,) = await store.claim("worker", 10, LONG)
        assert (claimed.id, claimed.owner, claimed.state) == (message.id, "worker", "sending")
        assert (claimed.fence, claimed.version) == (message.fence + 1, message.version + 1)
        assert claimed.due_at is not None
        assert abs(claimed.due_at - before - LONG * SECOND) < 5 * SECOND
        assert await record(store, message.id) == claimed
        assert await store.claim("other", 10, LONG) == []

    async def test_the_oldest_come_first(self, store: Store) -> None:
        messages = await saved(store, 30)
        for start in (0, 12, 24):
            claimed = await store.claim("worker", 12, LONG)
            assert ids(claimed) == ids(messages[start : start + 12])

    async def test_the_limit_holds(self, store: Store) -> None:
        messages = await saved(store, 5)
        assert await store.claim("worker", 0, LONG) == []
        assert await store.claim("worker", 0, LONG, ids=ids(messages)) == []
        assert ids(await store.claim("worker", 2, LONG, ids=ids(messages)[::-1])) == ids(messages[:2])
        assert len(await store.claim("worker", 1, LONG)) == 1

    async def test_lanes(self, store: Store) -> None:
        (bulk,) = await saved(store, lane="bulk")
        (quick,) = await saved(store, lane="transactional")
        assert ids(await store.claim("worker", 10, LONG, lane="transactional")) == [quick.id]
        assert ids(await store.claim("worker", 10, LONG, lane="bulk")) == [bulk.id]

    async def test_without_a_lane_both_are_given_within_the_limit(self, store: Store) -> None:
        await saved(store, 3, lane="bulk")
        await saved(store, 3, lane="transactional")
        first, rest = await store.claim("worker", 4, LONG), await store.claim("worker", 4, LONG)
        assert (len(first), len(rest)) == (4, 2)
        assert len({*ids(first), *ids(rest)}) == 6

    async def test_ids_ask_for_these_only(self, store: Store) -> None:
        messages = await saved(store, 4)
        wanted = [messages[2].id, "no-such-id", messages[0].id]
        assert set(ids(await store.claim("worker", 10, LONG, ids=wanted))) == {messages[0].id, messages[2].id}
        assert await store.claim("worker", 10, LONG, ids=wanted) == []
        assert await store.claim("worker", 10, LONG, ids=[]) == []

    async def test_what_is_scheduled_waits_for_its_time(self, store: Store) -> None:
        (later,) = await saved(store, scheduled_at=microseconds(LONG))
        (past,) = await saved(store, scheduled_at=microseconds(-LONG))
        assert await store.claim("worker", 10, LONG, ids=[later.id]) == []
        assert ids(await store.claim("worker", 10, LONG)) == [past.id]

    async def test_overdue_asks_for_what_has_waited(self, store: Store) -> None:
        await saved(store)
        assert await store.claim("worker", 10, LONG, overdue=LONG) == []
        await eventually(lambda: store.claim("worker", 10, LONG, overdue=0.05))

    async def test_many_claimers_never_get_the_same(self, store: Store) -> None:
        messages = await saved(store, 90)
        claims = [store.claim(f"worker {number}", 10, LONG) for number in range(12)]
        claims += [store.claim("by id", 10, LONG, ids=ids(messages)) for _ in range(3)]
        got = [message for claimed in await asyncio.gather(*claims) for message in claimed]
        assert sorted(ids(got)) == sorted(ids(messages))
        assert {message.fence for message in got} == {1}

    async def test_fences_grow(self, store: Store) -> None:
        await saved(store)
        fences: list[int] = []
        for _ in range(3):
            (claimed,) = await store.claim("worker", 1, LONG)
            fences.append(claimed.fence)
            await store.release([(claimed.id, claimed.fence)], 0.0)
        assert fences == [1, 2, 3]

    async def test_release_spends_nothing(self, store: Store) -> None:
        await saved(store)
        (first,) = await store.claim("worker", 1, LONG)
        await store.settle([said(first, DEFERRED)])
        (claimed,) = await store.claim("worker", 1, LONG)
        await store.release([(claimed.id, claimed.fence)], LONG)
        message = await record(store, claimed.id)
        recipient = message.recipients[0]
        assert (message.owner, message.state, message.version) == (None, "deferred", claimed.version + 1)
        assert (recipient.attempts, recipient.spent) == (1, 1)
        assert message.due_at is not None
        assert message.due_at > microseconds(LONG - 5)
        assert await store.claim("worker", 1, LONG) == []

    async def test_release_passes_over_stale_fences(self, store: Store) -> None:
        (one, two) = await saved(store, 2)
        await store.claim("worker", 2, LONG)
        await store.release([(one.id, 9), (one.id, 0), ("no-such-id", 1), (two.id, 1)], 0.0)
        assert ids(await store.claim("worker", 2, LONG)) == [two.id]
        assert (await record(store, one.id)).fence == 1

    async def test_release_of_a_good_and_a_stale_fence_of_one_message(self, store: Store) -> None:
        (message,) = await saved(store)
        await store.claim("worker", 1, LONG)
        await store.release([(message.id, 1), (message.id, 0)], 0.0)
        assert (await record(store, message.id)).owner is None

    async def test_only_the_owner_renews(self, store: Store) -> None:
        (one, two) = await saved(store, 2)
        await store.claim("worker", 1, 0.0)
        await store.claim("other", 1, 0.0)
        assert await store.renew("worker", [one.id, two.id, "no-such-id"], LONG) == [one.id]
        assert ids(await store.lapsed("rescuer", 10, LONG)) == [two.id]
        renewed = await record(store, one.id)
        assert renewed.due_at is not None
        assert renewed.due_at > microseconds(LONG - 5)
        assert (renewed.fence, renewed.owner) == (1, "worker")

    async def test_what_is_settled_is_not_renewed(self, store: Store) -> None:
        (message,) = await saved(store)
        (claimed,) = await store.claim("worker", 1, LONG)
        await store.settle([said(claimed, ACCEPTED)])
        assert await store.renew("worker", [message.id], LONG) == []

    async def test_renew_may_be_awaited_from_another_loop(self, store: Store) -> None:
        (message,) = await saved(store)
        await store.claim("worker", 1, LONG)

        def elsewhere() -> list[str]:
            return asyncio.run(until_done(store.renew("worker", [message.id], LONG)))

        assert await asyncio.to_thread(elsewhere) == [message.id]

    async def test_a_lapsed_lease_is_taken_over_under_a_new_fence(self, store: Store) -> None:
        (message,) = await saved(store)
        assert await store.lapsed("rescuer", 10, LONG) == []
        (dead,) = await store.claim("dead", 1, 0.0)
        assert await store.claim("worker", 1, LONG) == []
        (taken,) = await store.lapsed("rescuer", 10, LONG)
        assert (taken.id, taken.owner, taken.fence) == (message.id, "rescuer", dead.fence + 1)
        assert await store.lapsed("rescuer", 10, LONG) == []
        assert await store.settle([said(dead, ACCEPTED)]) == [None]
        settled = await settle(store, said(taken, UNKNOWN, lost=True))
        assert (settled.state, settled.losses, settled.uncertain) == ("deferred", 1, 1)

    async def test_a_lease_that_lapsed_is_good_until_it_is_taken_over(self, store: Store) -> None:
        await saved(store)
        (claimed,) = await store.claim("worker", 1, 0.0)
        settled = await settle(store, said(claimed, ACCEPTED))
        assert settled.state == "sent"

    async def test_a_takeover_leaves_alone_what_was_not_being_sent(self, store: Store) -> None:
        """A person retries one recipient while a worker holds the other and dies: only the other is uncertain."""
        await store.save([draft("one@example.org", "two@example.org")])
        (first,) = await store.claim("worker", 1, LONG)
        await store.settle([said(first, REFUSED, DEFERRED)])
        (second,) = await store.claim("dead", 1, 0.0)
        await store.retry(second.id, LONG)
        (taken,) = await store.lapsed("rescuer", 1, LONG)
        assert [recipient.state for recipient in taken.recipients] == ["pending", "sending"]
        settled = await settle(store, said(taken, UNKNOWN, lost=True))
        assert [recipient.uncertain for recipient in settled.recipients] == [0, 1]

    async def test_held_lists_what_an_owner_holds(self, store: Store) -> None:
        messages = await saved(store, 3)
        await store.claim("worker", 1, LONG)
        await store.claim("worker", 1, 0.0)
        await store.claim("other", 1, LONG)
        assert sorted(ids(await store.held("worker"))) == sorted(ids(messages[:2]))
        assert await store.held("nobody") == []

    async def test_mail_whose_time_is_over_is_only_given_by_expired(self, store: Store) -> None:
        (over,) = await saved(store, expire=0.0)
        (fresh,) = await saved(store)
        assert ids(await store.claim("worker", 10, LONG)) == [fresh.id]
        assert await store.claim("worker", 10, LONG, ids=[over.id]) == []
        (claimed,) = await store.expired("worker", 10, LONG)
        assert (claimed.id, claimed.owner, claimed.fence, claimed.state) == (over.id, "worker", 1, "sending")
        assert await store.expired("worker", 10, LONG) == []

    async def test_what_cost_two_workers_is_only_given_alone(self, store: Store) -> None:
        (costly,) = await saved(store)
        for _ in range(2):
            await store.claim("dead", 1, 0.0)
            (taken,) = await store.lapsed("rescuer", 1, LONG)
            await store.settle([said(taken, NOT_BEGUN, lost=True)])
        (fresh,) = await saved(store)
        assert ids(await store.claim("worker", 10, LONG, ids=[costly.id])) == []
        assert ids(await store.claim("worker", 10, LONG)) == [fresh.id]
        (alone,) = await store.claim("worker", 1, LONG, lane="transactional", alone=True)
        assert (alone.id, alone.losses) == (costly.id, 2)

    async def test_next_due(self, store: Store) -> None:
        assert await store.next_due() is None
        await saved(store, scheduled_at=microseconds(LONG))
        far = await store.next_due()
        assert far is not None
        assert LONG - 5 < far <= LONG
        await saved(store, lane="bulk")
        assert await store.next_due() == 0.0
        await store.claim("worker", 1, 1.0)
        after = await store.next_due()
        assert after is not None
        assert after > 2.0, "what is leased is not due to anybody"

    async def test_ping(self, store: Store) -> None:
        await store.ping()


def ids(messages: Sequence[Message]) -> list[str]:
    """Their ids."""
    return [message.id for message in messages]


async def until_done(call: Awaitable[list[str]]) -> list[str]:
    """An awaitable as a coroutine."""
    return await call


async def eventually(ask: Callable[[], Awaitable[list[Message]]]) -> list[Message]:
    """The first answer that is not empty."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if answer := await ask():
                return answer
            await asyncio.sleep(0.01)
