"""Lists from a read replica: a real standby, which is behind, stopped, or not there; the store answers wherever it must."""

import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from posthouse.store.base import Query, UnknownCursor
from posthouse.store.postgres import PostgresStore
from posthouse.store.postgres.replica import BEHIND, Replica
from posthouse.store.registry import open_replica
from posthouse.testing.store_mail import saved
from tests.cluster import Cluster, Standby, own_cluster
from tests.journey.house import until
from tests.services import server_connection

LIST = Query(limit=10)


@pytest.fixture
def primary() -> Iterator[Cluster]:
    with own_cluster() as cluster:
        yield cluster


@pytest.fixture
def standby(primary: Cluster) -> Iterator[Standby]:
    with tempfile.TemporaryDirectory(prefix="posthouse-standby-") as folder:
        Path(folder).chmod(0o755)
        standby = Standby(Path(folder))
        standby.follow(primary)
        yield standby
        standby.end()


@pytest.fixture
async def store(primary: Cluster) -> AsyncIterator[PostgresStore]:
    async with opened(primary.url) as store:
        yield store


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[PostgresStore]:
    store = PostgresStore(url, migrating=True)
    await store.start()
    yield store
    await store.stop()


@asynccontextmanager
async def reading(url: str, store: PostgresStore, behind: float = BEHIND) -> AsyncGenerator[Replica]:
    replica = Replica(url, store, store.identity, behind=behind)
    await replica.start()
    yield replica
    await replica.stop()


async def test_lists_come_from_a_standby_until_it_is_gone_and_again_when_it_is_back(
    store: PostgresStore, standby: Standby
) -> None:
    """What it has not replayed yet shows which of the two was read."""
    (old,) = await saved(store)
    async with reading(standby.url, store, behind=60) as replica:
        await until(lambda: replica.used, 10)
        await until(lambda: _shows(replica, old.id), 10)
        await _tell(standby, "SELECT pg_wal_replay_pause()")
        (new,) = await saved(store)
        assert [each.message.id for each in (await replica.page(LIST)).items] == [old.id]
        assert (await replica.totals(0, 1 << 60)).created == 1
        # a cursor that only the store knows
        assert [each.message.id for each in (await replica.page(Query(cursor=new.id))).items] == [old.id]
        with pytest.raises(UnknownCursor):
            await replica.page(Query(cursor="nobody"))
        standby.stop()
        assert [each.message.id for each in (await replica.page(LIST)).items] == [new.id, old.id]
        assert not replica.used
        assert (await replica.totals(0, 1 << 60)).created == 2
        standby.start()
        await until(lambda: replica.used, 20)
        await until(lambda: _shows(replica, new.id), 10)


async def test_one_that_is_too_late_is_not_read(store: PostgresStore, standby: Standby) -> None:
    await saved(store)
    async with reading(standby.url, store, behind=1) as replica:
        await until(lambda: replica.used, 10)
        await _tell(standby, "SELECT pg_wal_replay_pause()")
        (new,) = await saved(store)
        await until(lambda: not replica.used, 10)
        assert await _shows(replica, new.id)
        await _tell(standby, "SELECT pg_wal_replay_resume()")
        await until(lambda: replica.used, 10)


async def test_the_server_itself_serves_as_well(postgres: str) -> None:
    async with opened(postgres) as store:
        (mail,) = await saved(store)
        async with reading(f"{postgres}&application_name=replica", store) as replica:
            await until(lambda: replica.used, 10)
            assert await replica.page(LIST) == await store.page(LIST)
            assert await _shows(replica, mail.id)


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/mail", "postgresql://nobody.invalid/mail"])
async def test_one_that_is_not_there_holds_nobody_up(postgres: str, url: str) -> None:
    async with opened(postgres) as store, reading(url, store) as replica:
        (mail,) = await saved(store)
        assert await _shows(replica, mail.id)
        assert not replica.used


async def test_one_of_another_store_is_not_read(store: PostgresStore, postgres: str) -> None:
    (mail,) = await saved(store)
    async with opened(postgres), reading(postgres, store) as replica:
        await until(lambda: replica.why == "it is another store's", 10)
        assert await _shows(replica, mail.id)


async def test_a_url_that_cannot_be_one_is_named(store: PostgresStore) -> None:
    with pytest.raises(ValueError, match="POSTHOUSE_REPLICA: must be postgresql"):
        open_replica("sqlite:///posthouse.db", "postgresql://127.0.0.1/mail", store)
    with pytest.raises(ValueError, match="POSTHOUSE_REPLICA: conections: is not an option"):
        open_replica("postgresql://127.0.0.1/mail?conections=9", "postgresql://127.0.0.1/mail", store)


async def _shows(replica: Replica, id: str) -> bool:
    return id in [each.message.id for each in (await replica.page(LIST)).items]


async def _tell(server: Cluster, statement: str) -> None:
    async with server_connection(server.url) as connection:
        await connection.execute(statement)
