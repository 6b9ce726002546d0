"""Store contract: what is old and closed is forgotten, bodies and records apart, and everything else goes on adding up."""

import asyncio
import secrets

import pytest

from posthouse.mail.identity import id_maker
from posthouse.mail.message import Message
from posthouse.mail.outcome import Outcome
from posthouse.mail.retention import has_body, head
from posthouse.store.audit import audit
from posthouse.store.base import Query, Store, UnknownCursor
from posthouse.testing.store_mail import (
    ACCEPTED,
    LONG,
    REFUSED,
    draft,
    everything,
    key,
    microseconds,
    said,
    saved,
    settle,
)


class Pruning:
    """`prune` of a store."""

    async def test_a_body_goes_and_its_head_is_left(self, store: Store) -> None:
        for text in ("short", "x" * 50_000):
            (given,) = await store.save([draft(content={"text": text, "headers": {"X-Town": "Ulm"}})])
            full = (await store.contents([given.message.id]))[given.message.id]
            await _over(store, given.message)
            await _pruned(store, bodies=0.0)
            found = await store.get(given.message.id)
            assert found is not None
            assert found[1] == head(full)
            assert found[0].status == "SENT"
            (item,) = (await store.page(Query(limit=1))).items
            assert (item.content, item.truncated) == (head(full), False)
            assert await store.contents([given.message.id]) == {}
        assert (await audit(store)).findings == []

    async def test_what_is_open_or_young_keeps_its_body(self, store: Store) -> None:
        """The old one that is open keeps no other."""
        scheduled, waiting, held, sent = await saved(store, 4)
        later = (await saved(store, scheduled_at=microseconds(LONG)))[0]
        await store.claim("worker", 1, LONG, ids=[held.id])
        await _over(store, sent)
        await _pruned(store, bodies=LONG)
        every = [scheduled.id, waiting.id, held.id, sent.id, later.id]
        assert set(await store.contents(every)) == set(every)
        await _pruned(store, bodies=0.0)
        assert set(await store.contents(every)) == set(every) - {sent.id}
        assert (await audit(store)).findings == []

    async def test_mail_without_a_body_is_not_tried_again(self, store: Store) -> None:
        (message,) = await saved(store)
        failed = await _over(store, message, REFUSED)
        await _pruned(store, bodies=0.0)
        assert await store.retry(message.id, LONG) == failed
        found = await store.get(message.id)
        assert found is not None
        assert not has_body(found[1])
        assert (await audit(store)).findings == []

    async def test_a_record_goes_with_all_that_is_kept_for_it(self, store: Store) -> None:
        named = draft("ann@x.example", "bob@x.example", key=key("k"), tags=("a", "b"), campaign="spring")
        gone = (await store.save([named]))[0].message
        for outcome in (ACCEPTED, REFUSED):
            await _over(store, (await saved(store))[0] if outcome is REFUSED else gone, outcome)
        await _pruned(store, bodies=0.0)
        await _pruned(store, records=0.0)
        assert await store.get(gone.id) is None
        assert await store.named("test", ["k"]) == {}
        for query in (Query(), Query(page=1), *_filters()):
            assert (await store.page(query)).items == []
        assert not any((await store.overview()).states.values())
        seen = await audit(store)
        assert (seen.records, seen.findings) == (0, [])
        (again,) = await store.save([draft(key=key("k", b"other"))])
        assert again.created

    async def test_the_figures_of_a_day_only_grow(self, store: Store) -> None:
        for outcome in (ACCEPTED, REFUSED, ACCEPTED):
            await _over(store, (await saved(store))[0], outcome)
        before = await store.totals(0, 1 << 60)
        await _pruned(store, records=0.0)
        assert await store.totals(0, 1 << 60) == before
        await saved(store, 2)
        after = await store.totals(0, 1 << 60)
        assert (after.created, after.sent, after.failed) == (5, 2, 1)
        assert (await audit(store)).findings == []

    async def test_records_go_oldest_first_up_to_one_that_is_open(self, store: Store) -> None:
        messages = await saved(store, 6)
        for message in messages[:2] + messages[3:5]:
            await _over(store, message)
        await _pruned(store, records=LONG)
        assert len(await everything(store)) == 6
        await _pruned(store, records=0.0)
        assert [each.id for each in await everything(store)] == [each.id for each in messages[:1:-1]]
        await _over(store, messages[2])
        await _pruned(store, records=0.0)
        assert [each.id for each in await everything(store)] == [messages[5].id]

    async def test_pages_begin_with_the_oldest_that_is_kept(self, store: Store) -> None:
        messages = await saved(store, 30)
        for message in messages[:13]:
            await _over(store, message)
        await _pruned(store, records=0.0)
        ids = [message.id for message in messages[13:]]
        for number, expected in ((1, ids[:10]), (2, ids[10:]), (3, []), (1 << 80, [])):
            page = await store.page(Query(page=number, limit=10))
            assert [item.message.id for item in page.items] == expected
            assert page.total == 17
        assert [each.id for each in await everything(store)] == ids[::-1]
        middle = messages[20].created_at
        late, early = await store.page(Query(since=middle)), await store.page(Query(until=middle))
        assert [item.message.id for item in late.items] == ids[:6:-1]
        assert [item.message.id for item in early.items] == ids[6::-1]

    async def test_a_cursor_that_is_gone_is_at_the_end(self, store: Store) -> None:
        old = (await saved(store))[0]
        await _over(store, old)
        await _pruned(store, records=0.0)
        for status in (None, "SENT"):
            page = await store.page(Query(cursor=old.id, status=status))
            assert (page.items, page.next_cursor) == ([], None)
        await saved(store)
        page = await store.page(Query(cursor=old.id))
        assert (page.items, page.next_cursor, page.total) == ([], None, 1)
        later = id_maker(lambda: microseconds(LONG) // 1000, secrets.randbits)()
        with pytest.raises(UnknownCursor):
            await store.page(Query(cursor=later))

    async def test_many_go_in_slices_while_mail_comes_and_is_tried_again(self, store: Store) -> None:
        messages: list[Message] = []
        for _ in range(5):
            messages += await saved(store, 100)
            leased = await store.claim("worker", 100, LONG)
            await store.settle([said(message, REFUSED) for message in leased])
        young: list[Message] = []
        again: set[str] = set()

        async def work() -> None:
            for message in messages[::-60]:
                young.extend(await saved(store))
                retried = await store.retry(message.id, LONG)
                if retried is not None and retried.open:
                    again.add(message.id)

        await asyncio.gather(work(), _pruned(store, bodies=0.0), _pruned(store, 0.0, 0.0))
        kept = {each.id: each for each in await everything(store)}
        assert {id for id, each in kept.items() if each.open} == {each.id for each in young} | again
        assert set(await store.contents(list(kept))) == {id for id, each in kept.items() if each.open}
        oldest = min(kept.values(), key=lambda each: each.created_at)
        assert oldest.open
        assert (await audit(store)).findings == []


def _filters() -> list[Query]:
    return [
        Query(recipient="ann@x.example"),
        Query(tag="a"),
        Query(campaign="spring"),
        Query(status="SENT"),
        Query(tag="b", recipient="bob@x.example"),
    ]


async def _over(store: Store, message: Message, outcome: Outcome = ACCEPTED) -> Message:
    """The record of a mail that was sent, or refused."""
    (leased,) = await store.claim("worker", 1, LONG, ids=[message.id])
    return await settle(store, said(leased, outcome))


async def _pruned(store: Store, bodies: float | None = None, records: float | None = None) -> None:
    """Until it has found nothing so often that it must have looked at everything."""
    idle = 0
    async with asyncio.timeout(60):
        while idle < 9:
            idle = 0 if await store.prune(bodies, records) else idle + 1
