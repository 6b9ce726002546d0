"""What is only true of PostgreSQL when it forgets: nobody is waited for, and what has no index is found all the same."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from posthouse.mail.message import SECOND, Message
from posthouse.store.audit import audit
from posthouse.store.base import NOTICE_SECONDS, Query
from posthouse.store.postgres import PostgresStore, sweep
from posthouse.testing.store_mail import ACCEPTED, LONG, everything, microseconds, said, saved
from tests.services import server_connection


@pytest.fixture
async def stores(postgres: str) -> AsyncIterator[list[PostgresStore]]:
    """Two processes, as far as the database can tell."""
    stores = [PostgresStore(postgres, migrating=migrating) for migrating in (True, False)]
    for store in stores:
        await store.start()
    yield stores
    for store in stores:
        await store.stop()


async def _sent(store: PostgresStore, count: int) -> list[Message]:
    messages = await saved(store, count)
    leased = await store.claim("worker", count, LONG)
    await store.settle([said(message, ACCEPTED) for message in leased])
    return messages


async def _pruned(store: PostgresStore, bodies: float | None, records: float | None) -> None:
    idle = 0
    while idle < 9:
        idle = 0 if await store.prune(bodies, records) else idle + 1


async def test_what_somebody_holds_is_passed_over_and_found_again(
    stores: list[PostgresStore], postgres: str
) -> None:
    store, _ = stores
    messages = await _sent(store, 5)
    async with server_connection(postgres) as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM messages WHERE id = $1 FOR UPDATE", messages[2].id)
        async with asyncio.timeout(2):
            await _pruned(store, 0.0, None)
            assert list(await store.contents([each.id for each in messages])) == [messages[2].id]
            await _pruned(store, None, 0.0)
            assert [each.id for each in await everything(store)] == [each.id for each in messages[:1:-1]]
    await _pruned(store, 0.0, None)
    assert await store.contents([each.id for each in messages]) == {}
    await _pruned(store, None, 0.0)
    assert await everything(store) == []


async def test_two_processes_forget_at_once(stores: list[PostgresStore]) -> None:
    for _ in range(4):
        await _sent(stores[0], 100)
    (kept,) = await saved(stores[0])
    await asyncio.gather(*(_pruned(store, 0.0, 0.0) for store in stores))
    assert [each.id for each in await everything(stores[1])] == [kept.id]
    page = await stores[1].page(Query(page=1))
    assert ([item.message.id for item in page.items], page.total) == ([kept.id], 1)
    assert (await audit(stores[0])).findings == []


async def test_names_past_their_time_are_found_wherever_they_lie(
    stores: list[PostgresStore], postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk goes on from call to call, and begins again behind the last page."""
    monkeypatch.setattr(sweep, "PAGES", 2)
    store, _ = stores
    await saved(store, 2)
    async with server_connection(postgres) as connection:
        old = microseconds() - (NOTICE_SECONDS + 60) * SECOND
        await connection.execute("UPDATE messages SET created_at = $1 WHERE seq = 1", old)
        await connection.execute(
            "INSERT INTO provider_names SELECT 'name ' || n, 1 + n % 2 FROM generate_series(1, 1000) AS n"
        )
        async with asyncio.timeout(20):
            while await connection.fetchval("SELECT count(*) FROM provider_names") > 500:
                await store.sweep()
        for _ in range(10):
            await store.sweep()
        assert await connection.fetchval("SELECT array_agg(DISTINCT seq) FROM provider_names") == [2]


async def test_shards_that_nobody_adds_to_become_one(stores: list[PostgresStore], postgres: str) -> None:
    store, _ = stores
    await _sent(store, 1)
    hours_ago = microseconds(-3 * 3600)
    quarter = hours_ago - hours_ago % (900 * SECOND)
    async with server_connection(postgres) as connection:
        await connection.execute(
            "INSERT INTO counters SELECT 'created', $1, shard, 5 FROM generate_series(0, 7) AS shard", quarter
        )
        before = await store.totals(0, 1 << 60)
        for _ in range(2):
            await store.sweep()
            rows = await connection.fetch("SELECT shard, n FROM counters WHERE bucket = $1", quarter)
            assert [tuple(row) for row in rows] == [(sweep.OWN_SHARD, 40)]
            assert await store.totals(0, 1 << 60) == before
        young = await connection.fetch("SELECT shard FROM counters WHERE bucket > $1", quarter)
        assert {row["shard"] for row in young}.isdisjoint({sweep.OWN_SHARD})


async def test_it_says_how_the_server_is(stores: list[PostgresStore], postgres: str) -> None:
    checks = await stores[0].examine()
    assert [check.verdict for check in checks] == ["ok", "ok", "ok"], checks
    assert "on disk before it is answered" in checks[0].found
    store = PostgresStore(f"{postgres}&options=-cdefault_transaction_read_only%3Don")
    await store.start()
    (bad,) = [check for check in await store.examine() if check.verdict != "ok"]
    assert (bad.verdict, bad.found) == ("fail", "its transactions are read-only")
    await store.stop()
