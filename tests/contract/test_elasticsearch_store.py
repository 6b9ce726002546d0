"""The Elasticsearch store keeps the contract, on a real server; and what is only true of it."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from posthouse.mail.identity import message_id
from posthouse.store.base import EVENT, PageTooFar, Query, StoreUnfit
from posthouse.store.elasticsearch import ElasticsearchStore, pages
from posthouse.store.elasticsearch.request import Refused
from posthouse.store.migrate import SchemaMismatch
from posthouse.testing.store import StoreContract
from posthouse.testing.store_mail import ACCEPTED, LONG, draft, everything, key, said, saved
from posthouse.testing.store_save import Reopen


@pytest.fixture
async def opened(elasticsearch: str) -> AsyncIterator[list[ElasticsearchStore]]:
    """The stores of this test on indices of its own; the last one runs."""
    stores = [ElasticsearchStore(elasticsearch, migrating=True)]
    await stores[0].start()
    yield stores
    await stores[-1].stop()


@pytest.fixture
def store(opened: list[ElasticsearchStore]) -> ElasticsearchStore:
    return opened[0]


class TestElasticsearchStore(StoreContract):
    @pytest.fixture
    def reopen(self, opened: list[ElasticsearchStore], elasticsearch: str) -> Reopen:
        async def again() -> ElasticsearchStore:
            await opened[-1].stop()
            opened.append(ElasticsearchStore(elasticsearch))
            await opened[-1].start()
            return opened[-1]

        return again


def place(store_url: str, suffix: str = "") -> str:
    """Where an index answers by HTTP."""
    return store_url.replace("elasticsearch://", "http://") + suffix


async def test_a_page_beyond_what_elasticsearch_counts_off_says_so(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ROWS", 10)
    ids = [message.id for message in await saved(store, 12)]
    assert [item.message.id for item in (await store.page(Query(page=2, limit=5))).items] == ids[5:10]
    with pytest.raises(PageTooFar):
        await store.page(Query(page=3, limit=5))
    assert (await store.page(Query(page=4, limit=5))).items == []


async def test_a_key_whose_saver_died_leads_to_the_mail_of_who_repeats_it(
    store: ElasticsearchStore, elasticsearch: str
) -> None:
    """Its record is taken away, as if it had never been written: it is made again under the same id."""
    (first,) = await store.save([draft(key=key("k"))])
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.delete(place(elasticsearch, f"/_doc/{first.message.id}"))).status_code == 200
    (other,) = await store.save([draft(key=key("k", b"other"))])
    assert (other.created, other.conflict) == (False, True)
    (again,) = await store.save([draft(key=key("k"))])
    assert (again.created, again.message.id) == (True, first.message.id)
    assert again.message.message_id == message_id(first.message.id, "test.example")
    assert len(await everything(store)) == 1


async def test_the_same_id_is_saved_once(store: ElasticsearchStore) -> None:
    """The id of mail from elsewhere is its eventId: whoever gives it twice gets the record that stands."""
    given, again = draft(), draft()
    again.message.id = given.message.id
    (first,) = await store.save([given])
    (second,) = await store.save([again])
    assert (first.created, second.created) == (True, False)
    assert second.message == first.message


async def test_the_producers_name_for_a_mail_is_the_documents_id(store: ElasticsearchStore) -> None:
    (first,) = await store.save([draft(key=key("order-17/paid", scope=EVENT))])
    assert first.message.id == "order-17/paid"
    assert await store.named(EVENT, ["order-17/paid", "other"]) == {"order-17/paid": "order-17/paid"}
    (again,) = await store.save([draft(key=key("order-17/paid", scope=EVENT))])
    assert (again.created, again.message) == (False, first.message)
    assert await store.claim("worker", 5, LONG, ids=["order-17/paid"])


async def test_two_processes_share_the_work(elasticsearch: str) -> None:
    """Both search, both find the same mail, and each gets its own."""
    one, two = (ElasticsearchStore(elasticsearch, migrating=True) for _ in range(2))
    await asyncio.gather(one.start(), two.start())
    try:
        assert one.identity == two.identity
        await saved(one, 40)
        claims = [store.claim(f"worker {n}", 10, LONG) for n, store in enumerate((one, two, one, two))]
        got = [message.id for claimed in await asyncio.gather(*claims) for message in claimed]
        assert len(got) == len(set(got)) == 40
    finally:
        await asyncio.gather(one.stop(), two.stop())


async def test_what_another_process_did_counts_though_this_one_wrote_last(elasticsearch: str) -> None:
    """A process remembers what it wrote; nothing follows from that before Elasticsearch says that it still stands."""
    one, two = (ElasticsearchStore(elasticsearch, migrating=True) for _ in range(2))
    await asyncio.gather(one.start(), two.start())
    try:
        (mail,) = await saved(one, 1)
        (leased,) = await two.claim("other", 1, LONG, ids=[mail.id])
        assert await one.claim("worker", 1, LONG, ids=[mail.id]) == []
        assert await one.renew("worker", [mail.id], LONG) == []
        assert await one.renew("other", [mail.id], LONG) == [mail.id]
        await two.release([(mail.id, leased.fence)], 0.0)
        (again,) = await one.claim("worker", 1, LONG, ids=[mail.id])
        assert (again.fence, again.owner) == (leased.fence + 1, "worker")
        await two.release([(mail.id, again.fence)], 0.0)
        assert await one.renew("worker", [mail.id], LONG) == []
        assert await two.settle([said(again, ACCEPTED)]) == [None]
        (third,) = await two.claim("other", 1, LONG, ids=[mail.id])
        assert [each and each.state for each in await one.settle([said(third, ACCEPTED)])] == ["sent"]
        assert await two.renew("other", [mail.id], LONG) == []
    finally:
        await asyncio.gather(one.stop(), two.stop())


async def test_what_was_not_made_says_what_to_do(elasticsearch: str) -> None:
    with pytest.raises(SchemaMismatch, match="posthouse migrate"):
        await ElasticsearchStore(elasticsearch).start()


async def test_an_index_that_could_lose_mail_is_refused(
    store: ElasticsearchStore, elasticsearch: str
) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        settings = {"index": {"translog": {"durability": "async"}}}
        assert (await client.put(place(elasticsearch, "/_settings"), json=settings)).status_code == 200
    with pytest.raises(StoreUnfit, match="durability"):
        await ElasticsearchStore(elasticsearch).start()


async def test_a_document_that_is_refused_is_no_conflict(
    store: ElasticsearchStore, elasticsearch: str
) -> None:
    """Each item of a bulk has its own result: a bug shows, and the mail beside it is not said to be saved."""
    with pytest.raises(Refused):
        await store.save([draft(), draft(campaign="x" * 40_000)])
