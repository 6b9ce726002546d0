"""Store contract: what a template gave is kept in place of the content, under a fence that is still good."""

import msgspec

from posthouse.mail.message import Content
from posthouse.store.base import Query, Store
from posthouse.testing.store_mail import DEFERRED, LONG, draft, said, settle

TEMPLATED = {
    "subject": "",
    "text": None,
    "template": "welcome",
    "variables": {"town": "Ulm", "days": [1, 2.5]},
}


class Keeping:
    """`keep` of a store."""

    async def test_what_is_kept_is_the_content_from_then_on(self, store: Store) -> None:
        (message,) = [each.message for each in await store.save([draft(content=TEMPLATED)])]
        (leased,) = await store.claim("worker", 1, LONG, ids=[message.id])
        rendered = await _rendered(store, message.id)
        assert await store.keep([(message.id, leased.fence, rendered)]) == [message.id]
        assert await store.contents([message.id]) == {message.id: rendered}
        found = await store.get(message.id)
        assert found == (leased, rendered)
        await settle(store, said(leased, DEFERRED))
        assert await store.contents([message.id]) == {message.id: rendered}

    async def test_a_fence_that_is_over_keeps_nothing(self, store: Store) -> None:
        saved = await store.save([draft(content=TEMPLATED) for _ in range(3)])
        old, free, good = [each.message.id for each in saved]
        first = {each.id: each for each in await store.claim("worker", 2, LONG, ids=[old, free])}
        await settle(store, said(first[old], DEFERRED))
        await store.release([(free, first[free].fence)], 0.0)
        again = {each.id: each for each in await store.claim("worker", 2, LONG, ids=[old, good])}
        before = await store.contents([old, free])
        rendered = {id: await _rendered(store, id) for id in (old, free, good)}
        kept = await store.keep(
            [
                (old, first[old].fence, rendered[old]),
                (free, first[free].fence, rendered[free]),
                (good, again[good].fence, rendered[good]),
                ("no-such-id", 1, rendered[good]),
            ]
        )
        assert kept == [good]
        assert await store.contents([old, free]) == before
        assert await store.keep([]) == []

    async def test_lists_show_what_is_kept(self, store: Store) -> None:
        await store.save([draft(content=TEMPLATED)])
        (leased,) = await store.claim("worker", 1, LONG)
        long = "x" * 50_000
        rendered = msgspec.structs.replace(await _rendered(store, leased.id), html=long)
        await store.keep([(leased.id, leased.fence, rendered)])
        (item,) = [item for item in (await store.page(Query(limit=10))).items if item.message.id == leased.id]
        assert item.content is not None
        assert item.content.subject == "Welcome"
        assert item.truncated
        assert item.content.html == long[: len(item.content.html or "")]


async def _rendered(store: Store, id: str) -> Content:
    found = await store.get(id)
    assert found is not None
    assert found[1] is not None
    return msgspec.structs.replace(found[1], subject="Welcome", html="<p>to Ulm</p>", text="to Ulm")
