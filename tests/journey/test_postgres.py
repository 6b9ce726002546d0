"""Deployment 2 on PostgreSQL alone: an api process and workers of their own, one store, the queue `store:`."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, until
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp

API = ("serve", "--roles", "api")


def call(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with the settings of a house."""
    command = [sys.executable, "-m", "posthouse.cli", *words]
    return subprocess.run(
        command, env=house.environ, cwd=house.folder, capture_output=True, text=True, timeout=60
    )


def placed(folder: Path, name: str, store: str, transport: str, *arguments: str, **settings: str) -> House:
    """A process with a folder of its own, as on a machine of its own."""
    (folder / name).mkdir()
    return House(folder / name, transport, arguments or ("worker",), store=store, **settings)


@asynccontextmanager
async def running(*houses: House) -> AsyncIterator[None]:
    try:
        await asyncio.gather(*(house.start() for house in houses))
        yield
    finally:
        await asyncio.gather(*(house.close() for house in houses))


async def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path, postgres: str) -> None:
    """Its mails go on at once by its journal when it starts again; what is doubled says `uncertain`."""
    async with SmtpSink([Rule(step="end", delay=0.02)]) as sink:
        api = placed(tmp_path, "api", postgres, "inbox:", *API)
        worker = placed(tmp_path, "worker", postgres, smtp(sink.port))
        assert call(api, "migrate").returncode == 0
        async with running(api, worker):
            ids = await api.send_many(200)
            await sink.received(60)
            await worker.kill()
            await worker.start()
            assert await compare(api, sink, ids) == {"sent": 200}
            records = [await api.get(id) for id in ids]
            assert sum(record["uncertain"] for record in records) <= 10
        assert call(api, "audit").returncode == 0


async def test_two_workers_share_the_work_and_send_each_mail_once(tmp_path: Path, postgres: str) -> None:
    async with SmtpSink([Rule(step="end", delay=0.02)]) as sink:
        api = placed(tmp_path, "api", postgres, "inbox:", *API)
        workers = [
            placed(tmp_path, name, postgres, smtp(sink.port, connections=2)) for name in ("one", "two")
        ]
        assert call(api, "migrate").returncode == 0
        async with running(api, *workers):
            ids = await api.send_many(200)
            assert await compare(api, sink, ids) == {"sent": 200}
            assert sink.taken == 200
            records = [await api.get(id) for id in ids]
            assert sum(record["uncertain"] for record in records) == 0


async def test_a_mail_wakes_a_worker_in_another_process(tmp_path: Path, postgres: str) -> None:
    """By NOTIFY: no worker looks more than once a second by itself, and ten mails one after the other take less."""
    async with SmtpSink() as sink:
        api = placed(tmp_path, "api", postgres, "inbox:", *API)
        worker = placed(tmp_path, "worker", postgres, smtp(sink.port))
        assert call(api, "migrate").returncode == 0
        async with running(api, worker):
            await api.until(await api.send(), "sent")
            started = asyncio.get_running_loop().time()
            for number in range(10):
                await api.send()
                await until(lambda number=number: sink.taken >= number + 2, 10)
            assert asyncio.get_running_loop().time() - started < 5


def test_a_store_that_was_not_migrated_says_what_to_do(tmp_path: Path, postgres: str) -> None:
    api = placed(tmp_path, "api", postgres, "inbox:", *API)
    for words in (API, ("worker",), ("status",)):
        refused = call(api, *words)
        assert refused.returncode == 2
        assert refused.stderr.splitlines()[-1].endswith("run `posthouse migrate`")
    assert call(api, "migrate").returncode == 0
    assert call(api, "status").returncode == 0


def test_a_missing_server_is_said_in_one_line(tmp_path: Path) -> None:
    api = placed(tmp_path, "api", "postgresql://user:s3cret@127.0.0.1:1/mail", "inbox:", *API)
    refused = call(api, *API)
    assert refused.returncode == 1
    assert "PostgreSQL at 127.0.0.1:1/mail cannot be used" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "s3cret" not in refused.stderr + refused.stdout
