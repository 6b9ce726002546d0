"""A PostgreSQL that goes away: connections cut, the server killed and started again, frozen, or never there.

Nothing that was answered is lost, nothing is done twice, no lease is left that nobody knows of, and every call ends in
time.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Message
from posthouse.store.base import Store, StoreUnfit
from posthouse.store.postgres import PostgresStore
from posthouse.testing.store_mail import ACCEPTED, LONG, draft, everything, key, said
from posthouse.testing.store_walk import Walker
from tests.cluster import Cluster, own_cluster
from tests.services import server_connection

IN_TIME = 5.0
CUT = """SELECT pg_terminate_backend(pid) FROM (
  SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY random() LIMIT 1) AS one"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_cluster() as cluster:
        yield cluster


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url, migrating=True)
    await store.start()
    yield store
    await store.stop()


class Work:
    """Saves, claims and settles until it is told to stop; remembers what the store answered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._enough = self._all_saved = False
        self.saved: dict[str, bool] = {}
        self.sent: list[str] = []
        self.failures = 0

    async def beside(self, trouble: Callable[[], Awaitable[None]]) -> None:
        """Works while there is trouble, and then until nothing waits."""
        async with asyncio.TaskGroup() as tasks:
            savers = [tasks.create_task(self._save(number)) for number in range(3)]
            for number in range(3):
                tasks.create_task(self._claim(f"worker {number}"))
            await trouble()
            self._enough = True
            await asyncio.wait(savers)
            self._all_saved = True

    async def _save(self, saver: int) -> None:
        turn = 0
        while not self._enough:
            turn += 1
            drafts = [draft(key=key(f"{saver} {turn} {n}")) for n in range(3)] + [draft()]
            results = await self._ask(lambda drafts=drafts: self._store.save(drafts))
            for given, result in zip(drafts, results or [], strict=bool(results)):
                assert result.created
                assert result.message.id == given.message.id
                self.saved[result.message.id] = True

    async def _claim(self, owner: str) -> None:
        while True:
            last = self._all_saved
            claimed: list[Message] = await self._ask(lambda: self._store.claim(owner, 5, LONG)) or []
            settlements = [said(message, ACCEPTED) for message in claimed]
            settled = await self._ask(
                lambda given=settlements: self._store.settle(given), until_answered=True
            )
            for given, message in zip(claimed, settled, strict=True):
                self.sent.append(given.id)
                if message is None:
                    await self._check_settled_unheard(given)
            if last and not claimed:
                return

    async def _check_settled_unheard(self, given: Message) -> None:
        """The fence was good, so what was written is what we said, and the answer to that was lost with the server."""
        assert self.failures > 0, "the fence was good"
        stands, _ = await self._ask(lambda: self._store.get(given.id), until_answered=True)
        assert (stands.state, stands.fence, stands.attempts) == ("sent", given.fence, 1)

    async def _ask(self, ask: Callable[[], Awaitable[Any]], until_answered: bool = False) -> Any:
        while True:
            try:
                return await ask()
            except StoreAway:
                self.failures += 1
                if not until_answered:
                    return None


async def check(store: Store, work: Work) -> None:
    """The promise: all that was answered is there and was settled once; no lease is left behind; the counts add up."""
    records = {message.id: message for message in await everything(store)}
    assert set(work.saved) <= set(records)
    assert len(work.saved) > 20
    assert len(set(work.sent)) == len(work.sent)
    if work.failures == 0:
        assert set(records) == set(work.saved) == set(work.sent)
        assert {message.state for message in records.values()} == {"sent"}
    assert {message.attempts for message in records.values() if message.state == "sent"} == {1}
    await Walker(store).check()


async def test_connections_that_are_cut_at_any_moment(postgres: str, postgres_server: str) -> None:
    """One of them sixty times, whatever it is at; a commit whose answer was lost is found out about."""
    name = "cut" + postgres.rpartition("_")[2]

    async def cut() -> None:
        async with server_connection(postgres_server) as connection:
            for _ in range(60):
                await asyncio.sleep(0.05)
                await connection.execute(CUT, name)

    async with opened(f"{postgres}&application_name={name}") as store:
        work = Work(store)
        await work.beside(cut)
        assert work.failures == 0, "a lost connection is no lost server"
        await check(store, work)


async def test_a_server_that_is_killed_and_started_again(cluster: Cluster) -> None:
    """As if its machine had lost power, three times, in the middle of work."""

    async def restart() -> None:
        for _ in range(3):
            await asyncio.sleep(0.7)
            await asyncio.to_thread(cluster.stop)
            await asyncio.to_thread(cluster.start)
        await asyncio.sleep(0.7)

    async with opened(cluster.url) as store:
        work = Work(store)
        await work.beside(restart)
        await check(store, work)


async def test_a_server_without_fsync_is_refused(cluster: Cluster) -> None:
    async with server_connection(cluster.url) as connection:
        await connection.execute("ALTER SYSTEM SET fsync = off")
    cluster.stop()
    cluster.start()
    with pytest.raises(StoreUnfit, match="fsync = off"):
        await PostgresStore(cluster.url, migrating=True).start()


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_every_call_ends_in_time(cluster: Cluster, how: str) -> None:
    async with opened(cluster.url) as store:
        await store.save([draft()])
        with away(cluster, how):
            calls: list[Awaitable[Any]] = [
                store.save([draft()]),
                store.claim("worker", 1, LONG),
                store.settle([]),
                store.get("some"),
                store.ping(),
                asyncio.to_thread(lambda: asyncio.run(renewed(store))),
            ]
            loop = asyncio.get_running_loop()
            started = loop.time()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(answer) for answer in answers] == [StoreAway] * len(calls)
            assert loop.time() - started < IN_TIME
        await store.ping()
        (saved,) = await store.save([draft()])
        assert (await store.get(saved.message.id)) is not None


async def renewed(store: Store) -> list[str]:
    return await store.renew("worker", ["some"], LONG)


class away:  # noqa: N801
    """The server of a cluster, stopped or frozen for as long."""

    def __init__(self, cluster: Cluster, how: str) -> None:
        self._cluster, self._how = cluster, how

    def __enter__(self) -> None:
        if self._how == "stopped":
            self._cluster.stop()
        else:
            self._signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        if self._how == "stopped":
            self._cluster.start()
        else:
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        server = self._cluster.process
        for process in [server, *children(server)]:
            with suppress(ProcessLookupError):
                os.kill(process, number)


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
