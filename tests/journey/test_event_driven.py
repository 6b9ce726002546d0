"""Deployment 3 whole: a producer, `posthouse records` on Elasticsearch, RabbitMQ, `posthouse worker` and the mail server, each
a process. The walk through all of it; and each of them killed in the middle of work and started again: then every document
is closed, and what was sent twice says that nobody knew.
"""

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import msgspec
import pytest

from tests.journey.diagram import Place, Producer, opened
from tests.journey.house import KEY, until
from tests.journey.test_postgres import call
from tests.journey.test_rabbitmq import Foreign
from tests.own_elasticsearch import Server, own_elasticsearch
from tests.rabbit_server import Broker, own_broker

pytestmark = pytest.mark.timeout(400)
PROTO = Path(__file__).parents[2] / "posthouse/proto/records.proto"
SLOW = 0.05
"""Seconds that the mail server takes for a mail where something is to happen in the middle."""


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


async def test_the_whole_diagram(tmp_path: Path, elasticsearch: str, rabbitmq: str) -> None:
    """Saved and PENDING, published, sent, told of, SENT."""
    async with opened(tmp_path, elasticsearch, rabbitmq, 0.02) as place:
        assert "the catalog serves this machine only" in place.records.log
        producer = place.produce("walk", 0, 20)
        await producer.has_saved(20)
        ids = await producer.stop()
        pending = (await place.documents()).values()
        assert {(each["status"], each["attempts"], each["sentAt"]) for each in pending} == {
            ("PENDING", 0, None)
        }
        async with listening(place.queue) as heard:
            await place.worker.start()
            sent = await place.closed(ids)
            await until(lambda: len(heard) == 20, 10, lambda: f"{len(heard)} events")
        assert sent.keys() == heard.keys() == set(ids)
        for id in ids:
            compare(sent[id], heard[id])
        assert place.sink.taken() == Counter(f"{id}@example.org" for id in ids)


def compare(document: dict[str, Any], event: dict[str, Any]) -> None:
    """A mail that was sent at its first attempt, and the event that told so."""
    assert (event["status"], event["attempts"], event["fence"]) == ("SENT", 1, 1)
    assert (document["status"], document["attempts"], document["uncertain"]) == ("SENT", 1, 0)
    (recipient,) = document["recipients"]
    assert (recipient["email"], recipient["state"], recipient["code"]) == (
        document["recipient"],
        "sent",
        250,
    )
    assert document["history"][0]["event"] == "accepted"
    assert document["history"][-1]["transport"] == document["provider"] == event["provider"]
    assert document["sentAt"] > document["createdAt"]
    assert document["dueAt"] is None
    told, kept = event["metrics"], document["metrics"]
    parts = ("queuedMs", "renderMs", "deliveryMs")
    assert told["totalMs"] == sum(told[part] for part in parts)
    assert told["queuedMs"] > 100, "until the worker was there"
    assert told["deliveryMs"] >= 20
    assert {part: kept[part] for part in parts} == {part: told[part] for part in parts}
    assert kept["totalMs"] >= told["totalMs"] - 3


async def test_a_producer_in_another_language(
    tmp_path: Path, elasticsearch: str, rabbitmq: str, node: Path
) -> None:
    """Node, which has records.proto and the schemas of the events, and nothing else of ours."""
    mails = [
        {
            "event_id": f"node-{number}",
            "recipient": f"Ann <node-{number}@example.org>",
            "subject": "Hü",
            "html": "<p>Fresh horses</p>",
            "category": "news",
            "variables": {"fields": {"horses": {"numberValue": 4}}},
        }
        for number in range(5)
    ]
    names = [mail["event_id"] for mail in mails]
    async with opened(tmp_path, elasticsearch, rabbitmq, 0.0) as place:
        saved = await in_node(node, place, "save", mails)
        assert [(each["event_id"], each["status"], each["created"]) for each in saved] == [
            (name, "PENDING", True) for name in names
        ]
        await Foreign(node, place.queue).publish(*({"eventId": name} for name in names))
        await place.worker.start()
        sent = await in_node(node, place, "wait", names)
        documents = await place.closed(names)
        assert [(each["event_id"], each["status"], each["attempts"]) for each in sent] == [
            (name, "SENT", 1) for name in names
        ]
        assert [documents[name]["variables"] for name in names] == [{"horses": 4}] * 5
        again = await in_node(node, place, "save", mails)
        assert [(each["status"], each["created"]) for each in again] == [("SENT", False)] * 5
        assert place.sink.taken() == Counter(f"{name}@example.org" for name in names)


async def in_node(node: Path, place: Place, command: str, given: list[Any]) -> list[dict[str, Any]]:
    """What tests/foreign/documents.mjs shows."""
    words = ["node", "documents.mjs", place.address, str(PROTO), KEY, command, json.dumps(given)]
    done = await asyncio.to_thread(subprocess.run, words, cwd=node, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def servers() -> Iterator[tuple[Server, Broker]]:
    """An Elasticsearch and a RabbitMQ that may be killed, started side by side."""
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        starting = threads.submit(stack.enter_context, own_broker())
        yield stack.enter_context(own_elasticsearch()), starting.result()


async def test_each_part_killed(tmp_path: Path, servers: tuple[Server, Broker]) -> None:
    """While a producer goes on: each has work in its hands when it dies, and there is more when it is back."""
    elasticsearch, broker = servers
    async with opened(tmp_path, f"elasticsearch://{elasticsearch.address}/mail", broker.url(), SLOW) as place:
        await place.worker.start()
        producer = place.produce("load")
        for kill, start in (
            (on_thread(elasticsearch.kill), on_thread(elasticsearch.start)),
            (on_thread(broker.stop), on_thread(broker.start)),
            (place.records.kill, place.records.start),
            (place.worker.kill, place.worker.start),
            (on_thread(place.sink.kill), on_thread(place.sink.start)),
        ):
            await place.sink.received(20)
            await kill()
            await start()
            await place.sink.received(20)
        saved = await producer_killed(place, producer)
        await nothing_is_lost_or_doubled(place, saved)
        audit = await asyncio.to_thread(call, place.records, "audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr


async def producer_killed(place: Place, producer: Producer) -> list[str]:
    """Between its two steps, and in the middle of both; who comes after it hands in again what it was at. What is saved."""
    between = place.produce("between", 0, 10, "--save-only")
    await between.has_saved(10)
    await asyncio.gather(between.kill(), producer.kill())
    again = len(producer.saved) - 20
    heir = place.produce("load", again)
    await heir.has_saved(40)
    return [*between.saved, *producer.saved, *await heir.stop()]


async def nothing_is_lost_or_doubled(place: Place, ids: list[str]) -> None:
    """Every document is closed and SENT; the mail server took it as often as it was tried, if nobody knew of a try."""
    documents = await place.closed(ids)
    taken = place.sink.taken()
    for id, document in documents.items():
        assert document["status"] == "SENT", document
        assert 1 <= taken[f"{id}@example.org"] <= 1 + document["uncertain"], document
    assert len(taken) == len(documents)


def on_thread(work: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    return lambda: asyncio.to_thread(work)
