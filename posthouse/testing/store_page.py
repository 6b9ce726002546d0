"""The store contract, part four: lists in both forms, with their filters, and the figures beside them."""

from itertools import product
from typing import Any

import pytest

from posthouse.mail.message import Attachment, Message
from posthouse.store.base import BODY_SHOWN, Query, Store, UnknownCursor, Waiting
from posthouse.testing.store_mail import ACCEPTED, LONG, REFUSED, draft, microseconds, said, saved, settle

QUARTER = 900_000_000
"""Microseconds in a quarter of an hour."""


async def found(store: Store, **query: Any) -> list[str]:
    """The ids of a page."""
    return [item.message.id for item in (await store.page(Query(**query))).items]


class Listing:
    """See StoreContract."""

    async def test_an_empty_store_has_empty_pages(self, store: Store) -> None:
        for query in (Query(), Query(page=1), Query(page=7), Query(status="SENT")):
            page = await store.page(query)
            assert (page.items, page.next_cursor) == ([], None)
            assert page.total == (None if query.filtered else 0)

    async def test_pages_go_up_by_creation(self, store: Store) -> None:
        ids = [message.id for message in await saved(store, 25)]
        for number, expected in ((1, ids[:10]), (2, ids[10:20]), (3, ids[20:]), (4, []), (1 << 80, [])):
            page = await store.page(Query(page=number, limit=10))
            assert [item.message.id for item in page.items] == expected
            assert (page.total, page.next_cursor) == (25, None)

    async def test_cursors_go_down_by_creation(self, store: Store) -> None:
        ids = [message.id for message in await saved(store, 25)][::-1]
        seen: list[str] = []
        cursor: str | None = None
        for expected in (10, 10, 5):
            page = await store.page(Query(limit=10, cursor=cursor))
            assert (len(page.items), page.total) == (expected, 25)
            seen += [item.message.id for item in page.items]
            assert page.next_cursor == (seen[-1] if len(seen) < 25 else None)
            cursor = page.next_cursor
        assert seen == ids

    async def test_a_cursor_stays_where_it_is_while_mail_comes_in(self, store: Store) -> None:
        ids = [message.id for message in await saved(store, 5)][::-1]
        first = await store.page(Query(limit=2))
        await saved(store, 3)
        assert await found(store, limit=9, cursor=first.next_cursor) == ids[2:]

    async def test_the_last_page_that_is_full_has_no_next(self, store: Store) -> None:
        await saved(store, 4)
        assert (await store.page(Query(limit=4))).next_cursor is None

    async def test_an_unknown_cursor(self, store: Store) -> None:
        await saved(store)
        for cursor in ("no-such-id", "", "' OR 1=1 --"):
            with pytest.raises(UnknownCursor):
                await store.page(Query(cursor=cursor))

    async def test_each_filter_and_all_together(self, store: Store) -> None:
        """Every combination gives what a look at all records gives, in pieces of three."""
        records = await self._mixed(store)
        middle = records[len(records) // 2].created_at
        choices: dict[str, tuple[Any, ...]] = {
            "status": (None, "SENT", "PENDING"),
            "recipient": (None, "ann@x.example"),
            "campaign": (None, "spring"),
            "tag": (None, "red", "' OR ''='"),
            "since": (None, middle),
            "until": (None, middle),
        }
        for values in product(*choices.values()):
            asked = dict(zip(choices, values, strict=True))
            expected = [message.id for message in reversed(records) if fits(message, **asked)]
            assert await self._all_found(store, asked) == expected, asked

    async def test_since_is_in_and_until_is_out(self, store: Store) -> None:
        one, two, three = await saved(store, 3)
        assert await found(store, since=two.created_at) == [three.id, two.id]
        assert await found(store, until=two.created_at) == [one.id]
        assert await found(store, since=two.created_at, until=two.created_at) == []
        assert await found(store, since=three.created_at + 1) == []
        assert await found(store, until=three.created_at + 1) == [three.id, two.id, one.id]

    async def test_filters_give_no_total(self, store: Store) -> None:
        await saved(store)
        for query in (Query(status="PENDING"), Query(tag="x"), Query(since=0)):
            assert (await store.page(query)).total is None

    async def test_a_message_is_listed_once_whatever_it_has(self, store: Store) -> None:
        await store.save([draft("a@x.example", "b@x.example", tags=("one", "two", "one"))])
        assert len(await found(store)) == len(await found(store, tag="one")) == 1
        assert len(await found(store, recipient="b@x.example")) == 1

    async def test_lists_cut_large_bodies(self, store: Store) -> None:
        whole, long, huge = "ü" * BODY_SHOWN, "ü" * (BODY_SHOWN + 1), "<p>é</p>" * 60_000
        blob = Attachment("a.bin", b"x" * 100_000)
        await store.save(
            [
                draft(content={"subject": "1", "text": whole, "attachments": (blob,)}),
                draft(content={"subject": "2", "text": long}),
                draft(content={"subject": "3", "html": huge, "attachments": (blob,)}),
            ]
        )
        for query in (Query(page=1), Query(), Query(status="PENDING")):
            items = {item.content.subject: item for item in (await store.page(query)).items if item.content}
            assert [items[name].truncated for name in "123"] == [False, True, True]
            assert [(items[name].content or blank).text for name in "12"] == [whole, whole]
            assert (items["3"].content or blank).html == huge[:BODY_SHOWN]

    async def test_lists_show_records_as_they_stand(self, store: Store) -> None:
        await saved(store)
        (message,) = await store.claim("worker", 1, LONG)
        settled = await settle(store, said(message, REFUSED))
        for query in (Query(page=1), Query(), Query(status="FAILED")):
            assert [item.message for item in (await store.page(query)).items] == [settled]

    async def test_totals_count_when_a_status_was_first_reached(self, store: Store) -> None:
        start = microseconds() // QUARTER * QUARTER
        await saved(store, 3)
        one, two, _ = await store.claim("worker", 3, LONG)
        await store.settle([said(one, ACCEPTED), said(two, REFUSED)])
        await store.retry(two.id, LONG)
        (again,) = await store.claim("worker", 1, LONG, ids=[two.id])
        await store.settle([said(again, ACCEPTED)])
        totals = await store.totals(start, start + 4 * QUARTER)
        assert (totals.created, totals.sent, totals.failed) == (3, 2, 1)
        for since, until in ((0, start), (start + 4 * QUARTER, 1 << 60), (start, start)):
            empty = await store.totals(since, until)
            assert (empty.created, empty.sent, empty.failed) == (0, 0, 0)

    async def test_overview(self, store: Store) -> None:
        before = await store.overview()
        assert (sum(before.states.values()), before.oldest_due_at) == (0, None)
        await saved(store, 2, scheduled_at=microseconds(LONG))
        assert (await store.overview()).oldest_due_at is None
        (oldest, *_) = await saved(store, 3)
        seen = await store.overview()
        assert (seen.states["pending"], seen.states["sent"], seen.oldest_due_at) == (5, 0, oldest.due_at)
        (bulk, *_) = await saved(store, 2, lane="bulk")
        seen = await store.overview()
        assert seen.lanes == {"transactional": Waiting(3, oldest.due_at), "bulk": Waiting(2, bulk.due_at)}
        await store.claim("worker", 5, LONG)
        seen = await store.overview()
        assert (seen.states["pending"], seen.states["sending"], seen.oldest_due_at) == (2, 5, None)
        assert seen.lanes == {"transactional": Waiting(), "bulk": Waiting()}

    async def _mixed(self, store: Store) -> list[Message]:
        """Two dozen records of many kinds, oldest first."""
        drafts = [
            draft(
                "ann@x.example" if number % 2 else "bob@x.example",
                f"n{number}@x.example",
                campaign="spring" if number % 3 == 0 else None,
                tags=("red", "blue") if number % 4 < 2 else (),
            )
            for number in range(24)
        ]
        await store.save(drafts)
        plain = await store.claim("worker", 8, LONG)
        await store.settle([said(message, ACCEPTED) for message in plain])
        pages = [await store.page(Query(page=number, limit=10)) for number in (1, 2, 3)]
        return [item.message for page in pages for item in page.items]

    async def _all_found(self, store: Store, asked: dict[str, Any]) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            page = await store.page(Query(limit=3, cursor=cursor, **asked))
            ids += [item.message.id for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return ids


def fits(
    message: Message,
    status: str | None,
    recipient: str | None,
    campaign: str | None,
    tag: str | None,
    since: int | None,
    until: int | None,
) -> bool:
    """Whether the filters of a Query let a message through."""
    return (
        status in (None, message.status)
        and (recipient is None or any(recipient == each.email for each in message.recipients))
        and campaign in (None, message.campaign)
        and (tag is None or tag in message.tags)
        and (since is None or message.created_at >= since)
        and (until is None or message.created_at < until)
    )


blank = draft().content
