"""Deployment 3 with RabbitMQ as the queue: programs of others write and read its events, and nothing that befalls the
broker, a worker or an event loses or doubles a mail."""

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, free_port, until
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp
from tests.rabbit_server import Broker, own_broker
from tests.services import emptied

pytestmark = pytest.mark.timeout(300)

SCHEMAS = Path(__file__).parents[2] / "docs/events"
MAIL = {
    "recipient": "Ann <ann@example.org>",
    "subject": "Hü",
    "html": "<p>Fresh horses</p>",
    "category": "news",
}


def mail(number: int, **more: Any) -> dict[str, Any]:
    """An event that carries its mail."""
    return {"eventId": f"order-{number}", **MAIL, "recipient": f"user{number}@example.org", **more}


class Foreign:
    """A Node program with the real `amqplib`, that knows only the schemas in docs/events."""

    def __init__(self, node: Path, url: str) -> None:
        self._node, self._url = node, url

    async def publish(self, *events: dict[str, Any], key: str = "email.send") -> None:
        process = self._start("publish", key, json.dumps(events))
        out, _ = await asyncio.to_thread(process.communicate, timeout=60)
        assert (process.returncode, out) == (0, b"published\n")

    @asynccontextmanager
    async def running(self, *words: str) -> AsyncIterator[subprocess.Popen[bytes]]:
        """A program that has said `ready`, and ends by itself when it has seen enough."""
        process = self._start(*words)
        try:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
            yield process
            await asyncio.to_thread(process.wait, 60)
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()

    def _start(self, command: str, *words: str) -> subprocess.Popen[bytes]:
        line = ["node", "events.mjs", self._url, str(SCHEMAS), command, *words]
        return subprocess.Popen(line, cwd=self._node, stdout=subprocess.PIPE)


@asynccontextmanager
async def deployed(
    folder: Path, queue: str, transport: str, *roles: str, **settings: str
) -> AsyncIterator[list[House]]:
    """A process for each of `roles`, on one SQLite store; the first answers HTTP."""
    async with AsyncExitStack() as stack:
        houses: list[House] = []
        for number, each in enumerate(roles):
            more = {"grpc_port": str(free_port())} if "records" in each else {}
            house = House(folder, transport, ["serve", "--roles", each], queue=queue, **more, **settings)
            house.out = folder / f"{number}.log"
            stack.push_async_callback(house.close)
            houses.append(await house.start())
        yield houses


async def closed(house: House, count: int) -> list[dict[str, Any]]:
    """All records, once there are so many and none is open."""
    found: list[dict[str, Any]] = []

    async def all_closed() -> bool:
        found[:] = await house.all()
        return len(found) == count and all(each["status"] != "PENDING" for each in found)

    await until(all_closed, 60, lambda: f"{len(found)}: {found[:2]}\n{house.log[-2000:]}")
    return found


async def messages(url: str, queue: str) -> list[dict[str, Any]]:
    """What waits in a queue, taken out of it."""
    found: list[dict[str, Any]] = []
    connection = await aio_pika.connect(url)
    async with connection:
        source = await (await connection.channel()).get_queue(queue)
        while (message := await source.get(no_ack=True, fail=False)) is not None:
            found.append({"reason": message.headers.get("x-reason"), "body": message.body})
    return found


# Programs of others.


async def test_events_of_others_are_sent_once_and_told_of(tmp_path: Path, rabbitmq: str, node: Path) -> None:
    """Their mail is in the event; they come twice, in both lanes, beside some that nobody can read."""
    foreign = Foreign(node, rabbitmq)
    async with (
        SmtpSink() as sink,
        deployed(tmp_path, rabbitmq, smtp(sink.port), "api,worker,records", report="events") as (house,),
    ):
        async with foreign.running("listen", "40") as listener:
            await foreign.publish(*(mail(number) for number in range(30)))
            await foreign.publish({"eventId": "bad", "recipient": "nobody", "subject": "s", "text": "t"})
            await foreign.publish(*(mail(number) for number in range(20, 40)), key="email.send.bulk")
            records = await closed(house, 40)
            assert listener.stdout is not None
            told = [json.loads(line) for line in await asyncio.to_thread(listener.stdout.readlines)]
        assert {record["status"] for record in records} == {"SENT"}
        assert sink.taken == 40
        assert {event["eventId"] for event in told} == {f"order-{number}" for number in range(40)}
        assert {(event["status"], event["attempts"], event["fence"]) for event in told} == {("SENT", 1, 1)}
        sent = await house.get(records[0]["id"])
        assert (sent["tags"], sent["html"], sent["recipients"][0]["state"]) == (
            ["news"],
            MAIL["html"],
            "sent",
        )
        (dead,) = await messages(rabbitmq, "email.send.dead")
        assert "/recipient" in dead["reason"]
        assert await messages(rabbitmq, "email.send.queue") == []


async def test_a_foreign_worker_moves_the_records(tmp_path: Path, rabbitmq: str, node: Path) -> None:
    """It takes our events, and its own have no fence: no process of ours has the role worker."""
    async with deployed(tmp_path, rabbitmq, "inbox:", "api,records", republish="1s") as (house,):
        async with Foreign(node, rabbitmq).running("work", "30"):
            ids = await house.send_many(30)
        records = await house.until_all(ids, "sent")
        assert {(record["attempts"], record["history"][-1]["transport"]) for record in records} == {
            (1, "theirs")
        }


async def test_what_nobody_took_is_published_again(tmp_path: Path, rabbitmq: str) -> None:
    """Its first event is lost with whoever took it."""
    async with deployed(tmp_path, rabbitmq, "inbox:", "api,records", republish="1s") as (house,):
        id = await house.send()
        found: list[Any] = []

        async def twice() -> bool:
            found.extend(await messages(rabbitmq, "email.send.queue"))
            return len(found) >= 2

        await until(twice, 20)
        assert [json.loads(each["body"]) for each in found] == [{"eventId": id}] * len(found)


# Ours.


async def test_mail_goes_at_once(tmp_path: Path, rabbitmq: str) -> None:
    """Ten mails one after another take less than the second that the second door would need for each."""
    async with SmtpSink() as sink, deployed(tmp_path, rabbitmq, smtp(sink.port), "api", "worker") as (api, _):
        loop = asyncio.get_running_loop()
        await api.until(await api.send(), "sent")
        started = loop.time()
        for _ in range(10):
            await api.until(await api.send(), "sent")
        assert loop.time() - started < 8


@pytest.mark.parametrize("report", ["store", "events"])
async def test_a_worker_killed_with_its_events_unacked(tmp_path: Path, rabbitmq: str, report: str) -> None:
    """Nothing is lost; what may have been sent twice says so."""
    async with (
        SmtpSink([Rule(step="end", delay=0.02)]) as sink,
        deployed(tmp_path, rabbitmq, smtp(sink.port), "api,records", "worker", "worker", report=report) as (
            api,
            first,
            _,
        ),
    ):
        ids = await api.send_many(400)
        await sink.received(40)
        await first.kill()
        assert await compare(api, sink, ids) == {"sent": 400}


async def test_an_event_that_comes_again_after_a_crash_is_not_sent_twice(
    tmp_path: Path, rabbitmq: str, node: Path
) -> None:
    """Foreign mail is in the middle of its sending when everything dies."""
    foreign = Foreign(node, rabbitmq)
    async with (
        SmtpSink([Rule(step="end", delay=0.02)]) as sink,
        deployed(tmp_path, rabbitmq, smtp(sink.port), "api,worker,records", report="events") as (house,),
    ):
        await foreign.publish(*(mail(number) for number in range(200)))
        await sink.received(40)
        await house.kill()
        await foreign.publish(*(mail(number) for number in range(200)))
        await house.start()
        records = [await house.get(item["id"]) for item in await closed(house, 200)]
        copies = Counter(each.message_id for each in sink.mails)
        for record in records:
            assert record["state"] == "sent"
            assert 1 <= copies[record["message_id"]] <= 1 + record["uncertain"]


async def test_status_events_that_nobody_hears_heal(tmp_path: Path, rabbitmq: str) -> None:
    """No records service: after ten seconds the worker settles by itself, and nothing is sent twice meanwhile."""
    async with (
        SmtpSink() as sink,
        deployed(tmp_path, rabbitmq, smtp(sink.port), "api,worker", report="events", lease="4s") as (house,),
    ):
        ids = await house.send_many(20)
        await sink.received(20)
        await house.until_all(ids, "sent", seconds=30)
        assert sink.taken == 20
        told = [json.loads(each["body"]) for each in await messages(rabbitmq, "email.status.queue")]
        assert {event["eventId"] for event in told} == set(ids)


async def test_a_stop_drains(tmp_path: Path, rabbitmq: str) -> None:
    """Exit code 0; what is announced and not yet in a record is settled, the rest is for the next one."""
    async with (
        SmtpSink([Rule(step="end", delay=0.02)]) as sink,
        deployed(tmp_path, rabbitmq, smtp(sink.port), "api,records", "worker", report="events") as (
            api,
            worker,
        ),
    ):
        ids = await api.send_many(200)
        await sink.received(40)
        assert await worker.stop() == 0
        await worker.start()
        await worker.stop()
        await worker.start()
        assert await compare(api, sink, ids) == {"sent": 200}
        assert (sink.taken, max(Counter(each.message_id for each in sink.mails).values())) == (200, 1)


# A broker of their own.


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with own_broker() as broker:
        yield broker


@pytest.mark.parametrize("report", ["store", "events"])
async def test_killed_and_started_again_in_the_middle(tmp_path: Path, broker: Broker, report: str) -> None:
    """Without RabbitMQ mail is accepted and goes by the second door; with it again, by events."""
    url = await emptied(broker.url(""), 0)
    async with (
        SmtpSink([Rule(step="end", delay=0.01)]) as sink,
        deployed(tmp_path, url, smtp(sink.port), "api,records", "worker", report=report) as (api, worker),
    ):
        ids = await api.send_many(200)
        await asyncio.to_thread(broker.stop)
        ids += await api.send_many(100)
        await sink.received(250)
        await asyncio.to_thread(broker.start)
        ids += await api.send_many(100)
        assert await compare(api, sink, ids) == {"sent": 400}
        assert sink.taken == 400
        await until(lambda: "queue back" in worker.log, 30, lambda: worker.log[-3000:])


async def test_down_at_the_start_of_everything(tmp_path: Path) -> None:
    """A clear line in the log, and mail flows."""
    port = free_port()
    url = f"amqp://user:s3cret@127.0.0.1:{port}/"
    async with SmtpSink() as sink, deployed(tmp_path, url, smtp(sink.port), "api", "worker") as (api, worker):
        await api.until(await api.send(), "sent")
        assert f"RabbitMQ at 127.0.0.1:{port} does not answer" in worker.log
        assert "s3cret" not in worker.log + api.log


async def test_settings_that_cannot_be(tmp_path: Path) -> None:
    house = House(tmp_path, arguments=["worker"], report="events")
    with pytest.raises(AssertionError, match="POSTHOUSE_REPORT: events needs a POSTHOUSE_QUEUE"):
        await house.start()
