"""The PostgreSQL store keeps the contract, on a real server; and what is only true of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from posthouse.batch import Batcher
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Lane
from posthouse.mail.retry import Policy
from posthouse.store.base import Draft, Saved, StoreUnfit
from posthouse.store.migrate import SchemaMismatch
from posthouse.store.postgres import PostgresStore, search
from posthouse.store.registry import open_store
from posthouse.testing.campaigns import CampaignContract
from posthouse.testing.catalog import CatalogContract
from posthouse.testing.store import StoreContract
from posthouse.testing.store_mail import DEFERRED, LONG, draft, everything, key, said, saved
from posthouse.testing.store_save import Reopen
from posthouse.testing.store_walk import Walker
from tests.services import server_connection


@pytest.fixture
async def opened(postgres: str) -> AsyncIterator[list[PostgresStore]]:
    """The stores of this test on one schema; the last one runs."""
    stores = [PostgresStore(postgres, migrating=True)]
    await stores[0].start()
    yield stores
    await stores[-1].stop()


@pytest.fixture
def store(opened: list[PostgresStore]) -> PostgresStore:
    return opened[0]


@pytest.fixture
async def other(store: PostgresStore, postgres: str) -> AsyncIterator[PostgresStore]:
    """Another process, as far as the database can tell."""
    other = PostgresStore(postgres)
    await other.start()
    yield other
    await other.stop()


class TestPostgresCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self, store: PostgresStore) -> PostgresStore:
        return store


class TestPostgresCampaigns(CampaignContract):
    """With the two stores above."""


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def reopen(self, opened: list[PostgresStore], postgres: str) -> Reopen:
        async def again() -> PostgresStore:
            await opened[-1].stop()
            opened.append(PostgresStore(postgres))
            await opened[-1].start()
            return opened[-1]

        return again


async def test_two_processes_save_without_a_gap(
    store: PostgresStore, other: PostgresStore, postgres: str
) -> None:
    """Fifty batches each at the same time, some of them refused: places are given without a gap, in the order of
    created_at, and keys in opposite order do not deadlock."""
    names = [f"k{n}" for n in range(8)]

    async def work(mine: PostgresStore, order: list[str]) -> None:
        for turn in range(25):
            twice = draft()
            with pytest.raises(Exception, match="duplicate key"):
                await mine.save([twice, twice])
            await mine.save([draft(key=key(f"{turn} {name}")) for name in order] + [draft()])

    await asyncio.gather(work(store, names), work(other, names[::-1]))
    async with server_connection(postgres) as connection:
        rows = await connection.fetch("SELECT seq, created_at FROM messages ORDER BY seq")
    assert [row["seq"] for row in rows] == list(range(1, 25 * (8 + 2) + 1))
    times = [row["created_at"] for row in rows]
    assert sorted(set(times)) == times
    await Walker(store).check()


async def test_a_batch_with_what_the_server_cannot_take_fails_as_the_culprit_only(
    store: PostgresStore,
) -> None:
    batcher: Batcher[Draft, Saved] = Batcher(store.save, away=(StoreAway,))
    drafts = [draft(), draft(tags=("n\0l",)), draft()]
    answers = await asyncio.gather(*(batcher.add(each) for each in drafts), return_exceptions=True)
    assert [isinstance(answer, Saved) for answer in answers] == [True, False, True]
    assert len(await everything(store)) == 2
    await Walker(store).check()


async def test_a_search_that_gives_up_goes_on_where_it_stopped(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "STRIDE", 2)
    await StoreContract().test_each_filter_and_all_together(store)


async def test_it_tells_other_processes_of_mail_that_is_due(
    store: PostgresStore, other: PostgresStore, postgres_server: str
) -> None:
    """And again after its connection was lost."""
    heard: asyncio.Queue[Lane] = asyncio.Queue()
    listening = asyncio.create_task(other.listen(heard.put_nowait))
    async with asyncio.timeout(20), server_connection(postgres_server) as connection:
        for lane in ("transactional", "bulk"):
            assert await heard.get() == lane, "what may have been missed"
        await saved(store, scheduled_at=1 << 52)
        await saved(store, 3, lane="bulk")
        assert await heard.get() == "bulk"
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND query LIKE $1",
            f"%{other.identity}%",
        )
        for lane in ("transactional", "bulk"):
            assert await heard.get() == lane
        await saved(store)
        assert await heard.get() == "transactional"
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    assert heard.empty()


async def test_a_server_that_could_forget_is_refused(postgres: str) -> None:
    store = PostgresStore(f"{postgres}&options=-csynchronous_commit%3Doff", migrating=True)
    with pytest.raises(StoreUnfit, match="synchronous_commit = off"):
        await store.start()


async def test_a_schema_that_is_not_this_versions_is_refused(postgres: str) -> None:
    with pytest.raises(SchemaMismatch, match="run `posthouse migrate`"):
        await PostgresStore(postgres).start()
    stores = [PostgresStore(postgres, migrating=True) for _ in range(4)]
    await asyncio.gather(*(store.start() for store in stores))
    assert len({store.identity for store in stores}) == 1
    for store in stores:
        await store.stop()
    async with server_connection(postgres) as connection:
        await connection.execute("UPDATE migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(SchemaMismatch, match="0001_mail"):
        await PostgresStore(postgres).start()


async def test_what_is_not_there_is_away_and_says_where(postgres_server: str) -> None:
    server = postgres_server.rpartition("/")[0]
    for url, why in (
        ("postgresql://user:s3cret@127.0.0.1:1/mail", r"127\.0\.0\.1:1/mail cannot be used: .*refused"),
        (f"{server}/no_such_database", "no_such_database"),
    ):
        with pytest.raises(StoreAway, match=why) as caught:
            await PostgresStore(url).start()
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("option", ["conections=3", "connections=1", "connections=many"])
def test_an_option_that_is_not_understood_is_named(option: str) -> None:
    with pytest.raises(ValueError, match=option.partition("=")[0]):
        open_store(f"postgresql://localhost/mail?{option}", migrating=False)


async def test_a_clock_that_was_set_back_an_hour_does_not_hold_mail_up_for_one(
    store: PostgresStore, postgres: str
) -> None:
    """What waits since its accept goes at once; a retry after that keeps its wait, although its record was made later."""
    ids = [message.id for message in await saved(store, 3)]
    async with server_connection(postgres) as connection:
        for table, more in (("messages", ", due_at = due_at + 3600000000"), ("place", "")):
            await connection.execute(f"UPDATE {table} SET created_at = created_at + 3600000000{more}")
    await store.sweep()
    by_name = await store.claim("worker", 9, LONG, ids=ids[:1])
    others = await store.claim("worker", 9, LONG)
    assert [message.id for message in (*by_name, *others)] == ids
    await store.settle([said(message, DEFERRED, policy=Policy(backoff=LONG)) for message in others])
    assert await store.claim("worker", 9, LONG) == []
    assert await store.claim("worker", 9, LONG, ids=ids) == []
