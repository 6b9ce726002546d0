"""Deployment 3 whole: a producer, `posthouse records` on Elasticsearch, RabbitMQ, `posthouse worker` and the mail server, each
a process. What became of a mail is read from Elasticsearch itself, by the eventId that the producer was given.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import httpx2
import msgspec
import pytest

from posthouse.client.events import EmailDocument, EventClient
from tests.journey.house import KEY, House, free_port, until
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import call

pytestmark = pytest.mark.timeout(300)


class Sink:
    """The mail server, and the log it writes before each reply."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("ready smtp://"), said
        self.port, self._log = int(said.rpartition(":")[2]), log

    def taken(self) -> Counter[str]:
        """How often each address was given a mail."""
        *whole, _ = self._log.read_bytes().split(b"\n")
        return Counter(address for line in whole for address in json.loads(line)["recipients"])

    async def received(self, count: int) -> None:
        """Returns when so many mails were taken."""
        await until(lambda: self.taken().total() >= count, 30, lambda: f"{self.taken().total()} mails")


class Place:
    """The roles, each with a folder of its own; started by the tests."""

    def __init__(self, folder: Path, store: str, queue: str, sink: Sink) -> None:
        self.store, self.queue, self.sink, self.port = store, queue, sink, free_port()
        for name in ("records", "worker"):
            (folder / name).mkdir()
        self.records = House(
            folder / "records", "inbox:", ("records",), store=store, queue=queue, grpc_port=str(self.port)
        )
        self.worker = House(
            folder / "worker",
            smtp(sink.port, connections=4),
            ("worker",),
            store=f"grpc://127.0.0.1:{self.port}",
            queue=queue,
            report="events",
        )

    async def send(self, mails: Sequence[EmailDocument]) -> list[str]:
        """What a producer does with them, all at once; their eventIds."""
        async with EventClient(f"grpc://127.0.0.1:{self.port}?key={KEY}", self.queue) as client:
            saved = await asyncio.gather(*(client.send(mail) for mail in mails))
        assert {(each.status, each.created) for each in saved} <= {("PENDING", True), ("PENDING", False)}
        return [each.event_id for each in saved]

    async def documents(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """As they stand in Elasticsearch."""
        address = self.store.replace("elasticsearch:", "http:")
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.post(f"{address}/_mget", json={"ids": list(ids)})
        assert answer.status_code == 200, answer.text
        return [each["_source"] for each in answer.json()["docs"]]

    async def closed(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The documents once none is PENDING."""
        found: list[dict[str, Any]] = []

        async def none_is_pending() -> bool:
            found[:] = await self.documents(ids)
            return all(each["status"] != "PENDING" for each in found)

        await until(
            none_is_pending,
            90,
            lambda: f"{[each for each in found if each['status'] == 'PENDING'][:2]}\n{self.logs()}",
        )
        return found

    def logs(self) -> str:
        """The end of what the roles said."""
        return f"{self.records.log[-2000:]}\n{self.worker.log[-2000:]}"


@asynccontextmanager
async def running(folder: Path, delay: float) -> AsyncGenerator[Sink]:
    """A mail server that takes `delay` seconds for each mail."""
    log = folder / "sink.log"
    line = [sys.executable, "-m", "posthouse.testing.sink", "--delay", str(delay), "--log", str(log)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield await asyncio.to_thread(Sink, process, log)
        finally:
            process.kill()


@pytest.fixture
async def place(tmp_path: Path, elasticsearch: str, rabbitmq: str) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(running(tmp_path, 0.02))
        made = Place(tmp_path, elasticsearch, rabbitmq, sink)
        for house in (made.records, made.worker):
            stack.push_async_callback(house.close)
        migrated = await asyncio.to_thread(call, made.records, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        await made.records.start()
        yield made


def mails(start: int, end: int) -> list[EmailDocument]:
    return [
        EmailDocument(recipient=f"user{number}@example.org", subject=f"Horse {number}", text="is changed.")
        for number in range(start, end)
    ]


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[dict[str, dict[str, Any]]]:
    """The EmailStatusEvents that pass, by eventId."""
    heard: dict[str, dict[str, Any]] = {}

    async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        event = msgspec.json.decode(message.body)
        heard[event["eventId"]] = event

    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("email.status.exchange", "email.status")
        await queue.consume(hear, no_ack=True)
        yield heard


async def test_the_whole_diagram(place: Place) -> None:
    """Saved and PENDING, published, sent, told of, SENT."""
    ids = await place.send(mails(0, 20))
    pending = await place.documents(ids)
    assert {(each["status"], each["attempts"], each["sentAt"]) for each in pending} == {("PENDING", 0, None)}
    async with listening(place.queue) as heard:
        await place.worker.start()
        sent = await place.closed(ids)
        await until(lambda: len(heard) == 20, 10, lambda: f"{len(heard)} events")
    assert [each["eventId"] for each in sent] == ids
    for number, document in enumerate(sent):
        event = heard[document["eventId"]]
        assert (event["status"], event["attempts"], event["fence"]) == ("SENT", 1, 1)
        assert (document["status"], document["attempts"], document["uncertain"]) == ("SENT", 1, 0)
        (recipient,) = document["recipients"]
        assert (recipient["email"], recipient["state"], recipient["code"]) == (
            f"user{number}@example.org",
            "sent",
            250,
        )
        assert document["history"][0]["event"] == "accepted"
        assert document["history"][-1]["transport"] == document["provider"] == event["provider"]
        told, kept = event["metrics"], document["metrics"]
        parts = ("queuedMs", "renderMs", "deliveryMs")
        assert told["totalMs"] == sum(told[part] for part in parts)
        assert told["queuedMs"] > 100, "until the worker was there"
        assert told["deliveryMs"] >= 20
        assert {part: kept[part] for part in parts} == {part: told[part] for part in parts}
        assert kept["totalMs"] >= told["totalMs"] - 3
        assert document["sentAt"] > document["createdAt"]
        assert document["dueAt"] is None
    assert place.sink.taken() == Counter(f"user{number}@example.org" for number in range(20))


async def test_worker_and_records_killed_in_the_middle(place: Place) -> None:
    """Every document is closed, and what was sent twice says that it is uncertain."""
    await place.worker.start()
    ids = await place.send(mails(0, 60))
    await place.sink.received(10)
    await place.worker.kill()
    assert "PENDING" in {each["status"] for each in await place.documents(ids)}
    await place.worker.start()
    await place.sink.received(25)
    await place.records.kill()
    assert "PENDING" in {each["status"] for each in await place.documents(ids)}
    sending = asyncio.create_task(place.send(mails(60, 100)))
    await place.records.start()
    ids += await sending
    documents = await place.closed(ids)
    assert Counter(each["status"] for each in documents) == {"SENT": 100}
    taken = place.sink.taken()
    for document in documents:
        assert 1 <= taken[document["recipient"]] <= 1 + document["uncertain"], document
    assert len(taken) == len(set(ids)) == 100
