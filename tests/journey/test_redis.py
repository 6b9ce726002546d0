"""Deployment 2 with Redis as the queue: hints make it quick, and nothing that befalls Redis loses or doubles a mail."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, until
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp
from tests.redis_server import RedisServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    await server.start()
    yield server
    server.stop()


@asynccontextmanager
async def deployed(
    folder: Path, queue: str, transport: str, workers: int = 1, **settings: str
) -> AsyncIterator[tuple[House, list[House]]]:
    """One api and some workers, each a process, on one store; ended at the end."""
    async with AsyncExitStack() as stack:
        api = House(folder, transport, ["serve", "--roles", "api"], queue=queue, **settings)
        houses = [api]
        for number in range(workers):
            worker = House(folder, transport, ["worker"], queue=queue, **settings)
            worker.out = folder / f"worker-{number}.log"
            houses.append(worker)
        for house in houses:
            stack.push_async_callback(house.close)
            await house.start()
        yield api, houses[1:]


async def test_mail_goes_at_once(tmp_path: Path, server: RedisServer) -> None:
    """Ten mails one after another take less than the second that the second door would need for each."""
    async with SmtpSink() as sink, deployed(tmp_path, server.url, smtp(sink.port)) as (api, _):
        loop = asyncio.get_running_loop()
        await api.until(await api.send(), "sent")
        started = loop.time()
        for _ in range(10):
            await api.until(await api.send(), "sent")
        assert loop.time() - started < 8
        await until(lambda: server.ask("ZCARD", "bull:email:completed") == 11, 10)
        assert sink.taken == 11


async def test_two_workers_share_the_work_and_double_nothing(tmp_path: Path, server: RedisServer) -> None:
    async with (
        SmtpSink([Rule(step="end", delay=0.02)]) as sink,
        deployed(tmp_path, server.url, smtp(sink.port), workers=2) as (api, _),
    ):
        ids = await api.send_many(600)
        assert await compare(api, sink, ids) == {"sent": 600}
        assert sink.taken == 600


async def test_wiped_while_mail_waits(tmp_path: Path, server: RedisServer) -> None:
    """All is sent, nothing twice."""
    async with (
        SmtpSink([Rule(step="end", delay=0.02)]) as sink,
        deployed(tmp_path, server.url, smtp(sink.port), workers=2) as (api, _),
    ):
        ids = await api.send_many(400)
        server.ask("FLUSHALL")
        ids += await api.send_many(100)
        assert await compare(api, sink, ids) == {"sent": 500}
        assert sink.taken == 500


async def test_stopped_and_started_again(tmp_path: Path, server: RedisServer) -> None:
    """Without Redis mail is accepted and goes by the second door; with it again, at once."""
    async with SmtpSink() as sink, deployed(tmp_path, server.url, smtp(sink.port)) as (api, _):
        ids = await api.send_many(20)
        server.stop()
        ids += await api.send_many(50)
        assert await compare(api, sink, ids) == {"sent": 70}
        await server.start()
        done = server.ask("ZCARD", "bull:email:completed")
        ids.append(await api.send())
        await until(lambda: server.ask("ZCARD", "bull:email:completed") != done, 20)
        assert await compare(api, sink, ids) == {"sent": 71}
        assert sink.taken == 71


async def test_down_at_the_start_of_everything(tmp_path: Path) -> None:
    """A clear line in the log, and mail flows."""
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    async with SmtpSink() as sink, deployed(tmp_path, server.url, smtp(sink.port)) as (api, (worker,)):
        await api.until(await api.send(), "sent")
        assert f"Redis at 127.0.0.1:{server.port} does not answer" in worker.log


async def test_hanging_at_accept_nobody_waits(tmp_path: Path, server: RedisServer) -> None:
    """`defer`: 202 at once; the second door finds the mail."""
    async with SmtpSink() as sink, deployed(tmp_path, server.url, smtp(sink.port)) as (api, _):
        await api.send()
        loop = asyncio.get_running_loop()
        with server.hanging():
            started = loop.time()
            ids = [await api.send() for _ in range(10)]
            assert loop.time() - started < 2
            await api.until_all(ids, "sent")
        await sink.received(11)


@pytest.mark.parametrize("away", ["hanging", "down"])
async def test_reject_tells_the_caller(tmp_path: Path, server: RedisServer, away: str) -> None:
    """503, and the record is FAILED with the reason; the same key again, with Redis back, sends that very mail."""
    async with (
        SmtpSink() as sink,
        deployed(tmp_path, server.url, smtp(sink.port), on_queue_failure="reject") as (api, _),
    ):
        await api.until(await api.send(), "sent")
        mail = {"to": "ann@example.org", "subject": "Horses", "body": "wait."}
        with nullcontext() if away == "down" else server.hanging():
            if away == "down":
                server.stop()
            answer = await api.client.post("/email/send", json=mail, headers={"Idempotency-Key": "k"})
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:posthouse:problem:unavailable")
            id = answer.headers["location"].removeprefix("/emails/")
            record = await api.get(id)
            assert (record["status"], record["error"]) == ("FAILED", "the queue did not take it")
        if away == "down":
            await server.start()

        async def accepted() -> bool:
            again = await api.client.post("/email/send", json=mail, headers={"Idempotency-Key": "k"})
            assert again.headers["location"] == f"/emails/{id}"
            return again.status_code == 202

        await until(accepted, 15)
        await api.until(id, "sent")
        assert Counter(each.message_id for each in sink.mails).most_common(1)[0][1] == 1
        assert sink.taken == 2


async def test_a_worker_killed_with_its_jobs_active(tmp_path: Path, server: RedisServer) -> None:
    """Its journal settles what it had begun, the other worker takes the rest; nothing waits for BullMQ's lock."""
    async with (
        SmtpSink([Rule(step="end", delay=0.02)]) as sink,
        deployed(tmp_path, server.url, smtp(sink.port), workers=2) as (api, workers),
    ):
        ids = await api.send_many(300)
        await sink.received(50)
        await workers[0].kill()
        assert await compare(api, sink, ids) == {"sent": 300}


async def test_one_that_evicts_is_refused_at_the_start(tmp_path: Path, server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    worker = House(tmp_path, arguments=["serve"], queue=server.url)
    try:
        with pytest.raises(AssertionError, match=r"maxmemory-policy is allkeys-lru, and must be noeviction"):
            await worker.start()
        assert worker.process is not None
        assert worker.process.returncode == 2
    finally:
        await worker.close()
