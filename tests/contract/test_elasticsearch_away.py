"""An Elasticsearch that goes away: killed and started again in the middle of work, stopped, frozen, or full.

Nothing that was answered is lost, nothing is done twice, and every call ends in time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from posthouse.mail.errors import StoreAway
from posthouse.store.audit import audit
from posthouse.store.elasticsearch import ElasticsearchStore
from posthouse.testing.store_mail import LONG, draft, everything, key
from tests.contract.test_postgres_away import Work, renewed
from tests.journey.house import until
from tests.own_elasticsearch import Server, own_elasticsearch

pytestmark = pytest.mark.timeout(600)
IN_TIME = 5.5


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_elasticsearch() as server:
        yield server


@asynccontextmanager
async def opened(server: Server, index: str) -> AsyncIterator[ElasticsearchStore]:
    store = ElasticsearchStore(f"elasticsearch://{server.address}/{index}", migrating=True)
    await store.start()
    yield store
    await store.stop()


async def test_a_server_that_is_killed_and_started_again(server: Server) -> None:
    async def restart() -> None:
        await asyncio.sleep(3)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await asyncio.sleep(3)

    async with opened(server, "killed") as store:
        work = Work(store)
        await work.beside(restart)
        assert work.failures > 0
        await check(store, work)


async def check(store: ElasticsearchStore, work: Work) -> None:
    """All that was answered is there and was settled once. Of a save that died may be left what it wrote before the record."""
    records = {message.id: message for message in await everything(store)}
    assert set(work.saved) <= set(records)
    assert len(work.saved) > 20
    assert len(set(work.sent)) == len(work.sent)
    assert {message.attempts for message in records.values() if message.state == "sent"} == {1}
    found = [each.fault for each in (await audit(store)).findings]
    assert [fault for fault in found if not fault.startswith("a content is kept")] == []


async def test_every_call_ends_in_time_and_goes_on_afterwards(server: Server) -> None:
    """A frozen server takes connections and answers nothing."""
    async with opened(server, "frozen") as store:
        await store.save([draft()])
        server.freeze()
        try:
            calls: list[Awaitable[Any]] = [
                store.save([draft()]),
                store.claim("worker", 1, LONG),
                store.get("some"),
                store.overview(),
                store.ping(),
                asyncio.to_thread(lambda: asyncio.run(renewed(store))),
            ]
            loop = asyncio.get_running_loop()
            started = loop.time()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(answer) for answer in answers] == [StoreAway] * len(calls)
            assert loop.time() - started < IN_TIME
        finally:
            server.thaw()
        await until_it_answers(store)
        (saved,) = await store.save([draft()])
        assert (await store.get(saved.message.id)) is not None


async def until_it_answers(store: ElasticsearchStore) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await store.ping()
            except StoreAway:
                continue


async def test_a_server_that_turns_work_away_is_asked_again(server: Server) -> None:
    """429 for a while costs a save time and nothing else; for long it is away, and what it turned away is not there."""
    large = {"text": "x" * 20_000}
    async with opened(server, "full") as store, httpx2.AsyncClient(trust_env=False) as client:

        async def takes(bytes: str | None) -> None:
            settings = {"persistent": {"network.breaker.inflight_requests.limit": bytes}}
            answer = await client.put(f"http://{server.address}/_cluster/settings", json=settings)
            assert answer.status_code == 200, answer.text

        async def turned_away_often() -> bool:
            answer = await client.get(f"http://{server.address}/_nodes/stats/breaker")
            (node,) = answer.json()["nodes"].values()
            return node["breakers"]["inflight_requests"]["tripped"] >= 3

        await takes("1kb")
        try:
            saving = asyncio.create_task(store.save([draft(content=large, key=key("one"))]))
            await until(turned_away_often, 4)
            await takes(None)
            (saved,) = await saving
            assert saved.created
            await takes("1kb")
            with pytest.raises(StoreAway, match="circuit_breaking_exception"):
                await store.save([draft(content=large, key=key("other"))])
        finally:
            await takes(None)
        assert [message.id for message in await everything(store)] == [saved.message.id]
