"""The parts of deployment 3, each a process: the roles, a producer and the mail server; Elasticsearch and RabbitMQ are given.

What became of a mail is read from Elasticsearch itself, and how often it was sent from the mail server's own log.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.journey.house import KEY, House, free_port, until
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import call

CONNECTIONS = 4


class Sink:
    """The mail server, which takes `delay` seconds for each mail, and the log it writes before each reply."""

    def __init__(self, folder: Path, delay: float) -> None:
        self.port, self._delay, self._log = free_port(), delay, folder / "sink.log"
        self._process: subprocess.Popen[str] | None = None
        self._from = 0

    def start(self) -> None:
        line = [sys.executable, "-m", "posthouse.testing.sink", "--port", str(self.port)]
        line += ["--delay", str(self._delay), "--log", str(self._log)]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"ready smtp://127.0.0.1:{self.port}\n"

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            with self._process:
                self._process.kill()

    def mark(self) -> None:
        """What was taken before is counted no more."""
        self._from = self._log.stat().st_size

    @property
    def process(self) -> int:
        """The process id of the server, which runs."""
        assert self._process is not None
        return self._process.pid

    def taken(self) -> Counter[str]:
        """How often each address was given a mail, since `mark`."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            *whole, _ = log.read().split(b"\n")
        return Counter(address for line in whole for address in json.loads(line)["recipients"])

    async def received(self, more: int) -> None:
        """Returns when so many mails more were taken."""
        count = self.taken().total() + more
        await until(lambda: self.taken().total() >= count, 60, lambda: f"{self.taken().total()} of {count}")


class Producer:
    """tests.journey.producer at work; `saved` are the eventIds that it was told are saved."""

    def __init__(self, records: str, queue: str, name: str, start: int, end: int, *flags: str) -> None:
        line = [sys.executable, "-m", "tests.journey.producer", records, queue, name, str(start), str(end)]
        line += flags
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        self.saved: list[str] = []
        self._reading = asyncio.create_task(asyncio.to_thread(self._read))

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    async def has_saved(self, count: int) -> None:
        """Returns when it has saved so many."""
        await until(lambda: len(self.saved) >= count, 60, lambda: f"{len(self.saved)} saved")

    async def stop(self) -> list[str]:
        """It finishes what it has begun; all that it saved."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(60):
            await self._reading
        assert self._process.wait() == 0
        return self.saved

    async def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        await self._reading
        self._process.communicate()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.saved.append(line.strip())


class Place:
    """All of it on one machine, each with a folder of its own. `store` is where the documents are, `queue` the broker,
    `address` where the records service listens."""

    def __init__(self, folder: Path, store: str, queue: str, delay: float) -> None:
        self.store, self.queue, self._folder = store, queue, folder
        self.sink = Sink(folder, delay)
        self.address = grpc = f"127.0.0.1:{free_port()}"
        self._grpc = f"grpc://{grpc}?key={KEY}"
        self.records = self._house("records", "inbox:", store=store, grpc_port=grpc.rpartition(":")[2])
        self.worker = self._house(
            "worker",
            smtp(self.sink.port, connections=CONNECTIONS),
            store=f"grpc://{grpc}",
            report="events",
        )

    def produce(self, name: str, start: int = 0, end: int = 1_000_000, *flags: str) -> Producer:
        """A producer of the mails `name`-`start` and so on."""
        return Producer(self._grpc, self.queue, name, start, end, *flags)

    async def documents(self) -> dict[str, dict[str, Any]]:
        """All of them as they stand in Elasticsearch, by eventId."""
        address = self.store.replace("elasticsearch:", "http:")
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            await client.post(f"{address}/_refresh")
            answer = await client.post(f"{address}/_search", json={"size": 10_000})
        assert answer.status_code == 200, answer.text
        return {each["_id"]: each["_source"] for each in answer.json()["hits"]["hits"]}

    async def closed(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """These and all others, once none is PENDING."""
        found: dict[str, dict[str, Any]] = {}

        async def none_is_pending() -> bool:
            found.clear()
            found.update(await self.documents())
            return all(each["status"] != "PENDING" for each in found.values())

        await until(
            none_is_pending,
            60,
            lambda: f"{[each for each in found.values() if each['status'] == 'PENDING'][:2]}\n{self.logs()}",
        )
        assert found.keys() >= set(ids)
        return found

    def logs(self) -> str:
        """The end of what the roles said."""
        return f"{self.records.log[-3000:]}\n{self.worker.log[-3000:]}"

    def _house(self, role: str, transport: str, **settings: str) -> House:
        (self._folder / role).mkdir()
        return House(self._folder / role, transport, (role,), queue=self.queue, **settings)


@contextlib.asynccontextmanager
async def opened(folder: Path, store: str, queue: str, delay: float) -> AsyncGenerator[Place]:
    """The index made; records and mail server started, the worker not yet; all ended at the end."""
    place = Place(folder, store, queue, delay)
    try:
        migrated = await asyncio.to_thread(call, place.records, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        place.sink.start()
        await place.records.start()
        yield place
    finally:
        await asyncio.gather(place.records.close(), place.worker.close())
        place.sink.kill()
