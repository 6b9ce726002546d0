"""The contract of campaigns: what steers them, who may retry what, and that the counts always add up."""

import asyncio
from collections import Counter

import pytest

from posthouse.mail.campaign import Act, Person, Phase
from posthouse.mail.outcome import Outcome
from posthouse.store.audit import audit
from posthouse.store.catalog.campaigns import Chosen, Impossible, Share
from posthouse.testing.campaign_office import (
    Office,
    added,
    ready,
    retried,
    riders,
    seen,
    settled,
    states,
    told,
)
from posthouse.testing.store_mail import (
    ACCEPTED,
    DEFERRED,
    LONG,
    REFUSED,
    UNKNOWN,
    microseconds,
    said,
    settle,
)

FULL = Outcome(result="refused", code=552, text="over quota", category="mailbox_full")
MOVES: tuple[tuple[Act, Phase], ...] = (
    ("pause", "paused"),
    ("pause", "paused"),
    ("resume", "running"),
    ("cancel", "canceled"),
)


class Steering:
    """See CampaignContract."""

    async def test_acts_move_it_and_are_written_down_with_who_did_it(self, store: Office) -> None:
        id = await ready(store, 1)
        for act, phase in MOVES:
            after = await store.act(id, act, "bob", {"why": act})
            assert after is not None and after.phase == phase
        with pytest.raises(Impossible, match="is canceled"):
            await store.act(id, "resume", "bob")
        assert await told(store, id) == [
            ("canceled", "bob"),
            ("resumed", "bob"),
            ("paused", "bob"),
            ("started", "worker"),
            ("created", "ann"),
        ]
        assert await store.act("nobody", "pause", "bob") is None

    async def test_a_completed_one_can_only_be_retried(self, store: Office) -> None:
        id = await ready(store, 1)
        await settled(store, id, {"rider0": REFUSED})
        completed = await store.complete(id)
        assert completed is not None and completed.completed_at
        assert await store.complete(id) is None
        for act, _ in MOVES:
            with pytest.raises(Impossible, match="is completed"):
                await store.act(id, act, "bob")
        assert await store.working(9) == []
        await store.act(id, "retry", "bob", {"count": 1})
        assert (await store.retry_slice(id, Chosen(states=("failed",)), 9, LONG)).count == 1
        assert [each.id for each in await store.working(9)] == [id]
        assert (await seen(store, id))[0].completed_at is None

    async def test_canceled_what_is_in_the_air_ends_as_it_ends_and_the_rest_at_once(
        self, store: Office
    ) -> None:
        id = await ready(store, 6)
        air = {
            m.recipients[0].email[:6]: m for m in await store.claim("w", 3, LONG, lane="bulk", campaign=id)
        }
        await store.act(id, "cancel", "ann")
        while await store.cancel_slice(id, 2) == "more":
            pass
        assert states((await seen(store, id))[1]) == {"sending": 3, "canceled": 3}
        assert await store.complete(id) is None
        sent, deferred, refused = air.values()
        for message, outcome in ((sent, ACCEPTED), (deferred, DEFERRED), (refused, REFUSED)):
            await settle(store, said(message, outcome))
        assert states((await seen(store, id))[1]) == {"sent": 1, "canceled": 4, "failed": 1}
        assert await store.complete(id) is not None
        assert (await audit(store)).findings == []

    async def test_what_is_claimed_behind_a_cancel_does_not_stay(self, store: Office) -> None:
        """A worker that has not yet heard of it defers its mail: the next slice finds that."""
        id = await ready(store, 1)
        (leased,) = await store.claim("w", 1, LONG, lane="bulk", campaign=id)
        await store.act(id, "cancel", "ann")
        await settle(store, said(leased, DEFERRED))
        while await store.cancel_slice(id, 9) == "more":
            pass
        assert states((await seen(store, id))[1]) == {"canceled": 1}

    async def test_workers_have_to_do_with_what_is_canceled_then_by_priority(self, store: Office) -> None:
        plain, urgent = (await added(store)).id, (await added(store, priority=9)).id
        paused, canceled = (await added(store)).id, (await added(store)).id
        await added(store, scheduled_at=microseconds(3600))
        due = (await added(store, scheduled_at=microseconds(-1))).id
        await store.act(paused, "pause", "ann")
        await store.act(canceled, "cancel", "ann")
        assert [each.id for each in await store.working(9)] == [canceled, urgent, plain, due]
        assert [each.id for each in await store.working(2)] == [canceled, urgent]

    async def test_retried_exactly_by_state_class_and_domain(self, store: Office) -> None:
        people = [*riders(4), *(Person(f"x{n}@else.example") for n in range(2))]
        id = await ready(store, *people)
        outcomes = {"rider0": REFUSED, "rider1": FULL, "rider2": UNKNOWN, "rider3": ACCEPTED}
        await settled(store, id, {**outcomes, "x0": FULL, "x1": FULL})
        assert Counter(await store.shares(id)) == {
            Share("else.example", "failed", "mailbox_full", 2): 1,
            Share("example.org", "failed", REFUSED.category or "", 1): 1,
            Share("example.org", "failed", "mailbox_full", 1): 1,
            Share("example.org", "sent", "", 1): 1,
            Share("example.org", "unknown", UNKNOWN.category or "", 1): 1,
        }
        for chosen, count in (
            (Chosen(), 5),
            (Chosen(states=("unknown",)), 1),
            (Chosen(states=("sent",)), 0),
            (Chosen(categories=("mailbox_full",)), 3),
            (Chosen(states=("failed",), domains=("example.org",)), 2),
            (Chosen(categories=("mailbox_full",), domains=("example.org",)), 1),
        ):
            assert sum(share.count for share in await store.choose(id, chosen)) == count
        full = Chosen(states=("failed",), categories=("mailbox_full",))
        done = await retried(store, id, full, limit=1)
        assert done == 3
        assert states((await seen(store, id))[1]) == {"pending": 3, "failed": 1, "unknown": 1, "sent": 1}
        assert (await audit(store)).findings == []

    async def test_nobody_is_lost_whoever_settles_retries_and_cancels_at_once(
        self, store: Office, other: Office
    ) -> None:
        """The sum holds in every answer while all of it goes on, and the audit proves it at the end."""
        id = await ready(store, 300)
        outcomes = [ACCEPTED, REFUSED, DEFERRED, UNKNOWN]
        begun, canceled = asyncio.Event(), asyncio.Event()

        async def work(office: Office, owner: str) -> None:
            while leased := await office.claim(owner, 10, LONG, lane="bulk", campaign=id):
                if (left := (await seen(store, id))[1].open) < 200:
                    begun.set()
                if left < 50:  # whoever is quick leaves something to cancel
                    await canceled.wait()
                await office.settle([said(message, outcomes[n % 4]) for n, message in enumerate(leased)])

        async def again() -> None:
            for _ in range(5):
                await retried(store, id, Chosen(states=("failed",)), limit=50)

        async def stop() -> None:
            await begun.wait()
            await other.act(id, "cancel", "ann")
            canceled.set()
            while await other.cancel_slice(id, 50) == "more":
                pass

        working = asyncio.gather(work(store, "a"), work(other, "b"), again(), stop())
        while not working.done():
            assert (await seen(store, id))[1].total == 300
            await asyncio.sleep(0.005)
        await working
        while await store.cancel_slice(id, 50) == "more":
            pass
        assert (await seen(store, id))[1].open == 0
        assert await store.complete(id) is not None
        assert (await audit(store)).findings == []
