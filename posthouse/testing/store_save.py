"""The store contract, part one: what `save` keeps, under which key, and how long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from posthouse.mail.message import SECOND, Attachment
from posthouse.store.base import Store
from posthouse.testing.store_mail import LONG, draft, everything, key, microseconds, saved

Reopen = Callable[[], Awaitable[Store]]
"""Stops the store and gives another one, started, on the same data."""

SLACK = 5.0
"""Seconds by which the store's clock may differ from ours."""


class Saving:
    """See StoreContract."""

    async def test_a_saved_record_is_there_with_its_content(self, store: Store) -> None:
        given = draft(
            "ann@example.org", "bob@example.org", tags=("a", "b"), content={"html": "<p>Grüße 🐎</p>"}
        )
        before = microseconds()
        (saved,) = await store.save([given])
        found = await store.get(given.message.id)
        assert found == (saved.message, given.content)
        message = saved.message
        assert (saved.created, saved.conflict) == (True, False)
        assert (message.state, message.version, message.fence, message.owner) == ("pending", 1, 0, None)
        assert message.due_at is not None
        assert abs(message.due_at - before) < SLACK * SECOND
        assert abs(message.created_at - before) < SLACK * SECOND
        assert message.expires_at == message.due_at + round(LONG * SECOND)
        assert [entry.event for entry in message.history] == ["accepted"]

    async def test_nothing_is_there_under_an_unknown_id(self, store: Store) -> None:
        assert await store.get("no-such-id") is None
        assert await store.contents(["no-such-id"]) == {}
        assert await store.retry("no-such-id", LONG) is None

    async def test_an_empty_batch(self, store: Store) -> None:
        assert await store.save([]) == []
        assert await store.settle([]) == []
        assert await store.contents([]) == {}
        await store.release([], 0.0)

    async def test_created_at_grows_in_a_batch_and_over_batches(self, store: Store) -> None:
        messages = [*await saved(store, 70), *await saved(store, 5), *await saved(store)]
        times = [message.created_at for message in messages]
        assert sorted(set(times)) == times
        assert [message.id for message in reversed(await everything(store))] == [m.id for m in messages]

    async def test_scheduled_mail_is_due_at_its_time_and_lives_from_then(self, store: Store) -> None:
        at = microseconds(LONG)
        (message,) = await saved(store, scheduled_at=at)
        assert message.due_at == at
        assert message.expires_at == at + round(LONG * SECOND)

    async def test_a_time_of_its_own_to_expire_is_kept(self, store: Store) -> None:
        at = microseconds(2 * LONG)
        (message,) = await saved(store, expires_at=at)
        assert message.expires_at == at

    async def test_equal_keys_in_one_batch_make_one_message(self, store: Store) -> None:
        first, other, second = await store.save([draft(key=key("k")), draft(), draft(key=key("k"))])
        assert [first.created, other.created, second.created] == [True, True, False]
        assert second.message.id == first.message.id
        assert not second.conflict
        assert len(await everything(store)) == 2

    async def test_a_known_key_gives_the_record_as_it_stands(self, store: Store) -> None:
        (first,) = await store.save([draft(key=key("k"))])
        await store.claim("worker", 1, LONG)
        (second,) = await store.save([draft(key=key("k"))])
        assert (second.created, second.conflict) == (False, False)
        assert (second.message.id, second.message.state) == (first.message.id, "sending")
        assert len(await everything(store)) == 1

    async def test_a_key_with_another_payload_is_a_conflict(self, store: Store) -> None:
        first, second = await store.save([draft(key=key("k")), draft(key=key("k", b"other"))])
        (third,) = await store.save([draft(key=key("k", b"other"))])
        assert [each.conflict for each in (first, second, third)] == [False, True, True]
        assert {each.message.id for each in (first, second, third)} == {first.message.id}
        assert len(await everything(store)) == 1

    async def test_scopes_keep_keys_apart(self, store: Store) -> None:
        results = await store.save([draft(key=key("k", scope=scope)) for scope in ("one", "two", "two")])
        assert [result.created for result in results] == [True, True, False]

    async def test_keys_lead_to_ids(self, store: Store) -> None:
        drafts = [draft(key=key("k")), draft(key=key("old", seconds=0.0)), draft(key=key("k", scope="other"))]
        first, _, other = await store.save(drafts)
        assert await store.named("test", ["k", "old", "no such"]) == {"k": first.message.id}
        assert await store.named("other", ["k"]) == {"k": other.message.id}
        assert await store.named("test", []) == {}

    async def test_a_key_whose_time_is_over_is_forgotten(self, store: Store) -> None:
        (first,) = await store.save([draft(key=key("k", seconds=0.0))])
        (second,) = await store.save([draft(key=key("k", b"other"))])
        assert (second.created, second.conflict) == (True, False)
        assert second.message.id != first.message.id

    async def test_sweeping_forgets_only_keys_whose_time_is_over(self, store: Store) -> None:
        await store.save([draft(key=key("old", seconds=0.0)), draft(key=key("new"))])
        await store.sweep()
        (old, new) = await store.save([draft(key=key("old")), draft(key=key("new"))])
        assert [old.created, new.created] == [True, False]
        assert len(await everything(store)) == 3

    async def test_many_savers_with_one_key_make_one_message(self, store: Store) -> None:
        results = await asyncio.gather(*(store.save([draft(key=key("k"))]) for _ in range(20)))
        assert sum(result.created for (result,) in results) == 1
        assert len({result.message.id for (result,) in results}) == 1
        assert len(await everything(store)) == 1

    async def test_contents_come_as_they_were_given(self, store: Store) -> None:
        attachment = Attachment("a.bin", bytes(range(256)) * 200, "application/x-test", "cid")
        given = [
            draft(content={"attachments": (attachment,), "headers": {"X-A": "b"}}),
            draft(content={"html": "ü" * 300_000, "variables": {"n": 1, "list": [1.5, None, "x"]}}),
            draft(content={"text": None, "template": "welcome", "template_version": 3}),
        ]
        await store.save(given)
        found = await store.contents([each.message.id for each in given] + ["no-such-id"])
        assert found == {each.message.id: each.content for each in given}

    async def test_what_was_answered_outlives_the_store(self, store: Store, reopen: Reopen | None) -> None:
        if reopen is None:
            pytest.skip("this store cannot be opened again")
        given = draft(key=key("k"), tags=("t",))
        await store.save([given, draft()])
        await store.claim("worker", 1, LONG)
        before = await everything(store), await store.overview(), await store.totals(0, microseconds(LONG))
        identity = store.identity
        again = await reopen()
        after = await everything(again), await again.overview(), await again.totals(0, microseconds(LONG))
        assert after == before
        assert again.identity == identity
        assert await again.contents([given.message.id]) == {given.message.id: given.content}
        (repeated,) = await again.save([draft(key=key("k"))])
        assert not repeated.created
        (later,) = await saved(again)
        assert later.created_at > max(message.created_at for message in before[0])
