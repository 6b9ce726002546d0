"""The queue `amqp://` keeps the contract, on a real RabbitMQ; and what is only true of RabbitMQ."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from posthouse.mail.errors import StoreAway
from posthouse.mail.events import EmailSendEvent, EmailStatusEvent
from posthouse.mail.message import Lane
from posthouse.queue.base import Hint, QueueAway, QueueUnfit, Taken, Unreadable
from posthouse.queue.rabbitmq import RabbitQueue, intake
from posthouse.testing.queue import QueueContract, Worker, consuming, eventually
from tests.journey.house import until
from tests.unit.mail.test_status import told

DEAD = "email.send.dead"
MAIL = {"eventId": "order-1", "recipient": "ann@example.org", "subject": "Ü", "text": "t"}


@pytest.fixture
async def queue(rabbitmq: str) -> AsyncIterator[RabbitQueue]:
    queue = RabbitQueue(rabbitmq)
    await queue.start()
    yield queue
    await queue.stop()


@pytest.fixture
async def other(rabbitmq: str, queue: RabbitQueue) -> AsyncIterator[AbstractChannel]:
    """Another program's channel to the same virtual host."""
    connection = await aio_pika.connect(rabbitmq)
    yield await connection.channel()
    await connection.close()


class TestRabbitQueue(QueueContract):
    """Everything in QueueContract, each with nothing of ours in the broker."""


class Holder:
    """A handler that leases what it hears of, and settles it when told."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.taken: list[tuple[Hint, Taken]] = []

    async def __call__(self, hint: Hint) -> Taken:
        self.ids += hint.ids
        self.taken.append((hint, Taken(hint.ids)))
        return self.taken[-1][1]

    def settle(self) -> None:
        for hint, taken in self.taken:
            for id in hint.ids:
                taken.settled(id)


def plain(id: str = "one") -> Hint:
    return Hint("transactional", (id,))


async def publish(other: AbstractChannel, body: Any, key: str = "email.send", **headers: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange = await other.get_exchange(
        "email.status.exchange" if key == "email.status" else "email.send.exchange"
    )
    await exchange.publish(Message(data, headers=headers), key, mandatory=True)


async def waiting(other: AbstractChannel, name: str) -> int:
    """Messages of a queue that nobody has taken."""
    queue = await other.declare_queue(name, passive=True)
    return queue.declaration_result.message_count or 0


async def take_one(other: AbstractChannel, name: str) -> AbstractIncomingMessage:
    """The next message of a queue, which must come."""
    found: list[AbstractIncomingMessage] = []

    async def look() -> bool:
        message = await (await other.get_queue(name)).get(fail=False, no_ack=True)
        found.extend([message] if message else [])
        return bool(found)

    await until(look, 20)
    return found[0]


# Hints and topology.


async def test_what_other_programs_find(queue: RabbitQueue, other: AbstractChannel) -> None:
    """Under load the batch is the event; a single mail's event is the simplest there can be."""
    many = tuple(f"t{number}" for number in range(250))
    await queue.publish([Hint("bulk", ("b",)), Hint("transactional", many), plain("t0")])
    message = await take_one(other, "email.send.bulk.queue")
    assert (json.loads(message.body), message.routing_key) == ({"eventId": "b"}, "email.send.bulk")
    assert (message.delivery_mode, message.content_type) == (DeliveryMode.PERSISTENT, "application/json")
    found = [json.loads((await take_one(other, "email.send.queue")).body)["eventIds"] for _ in range(3)]
    assert [id for ids in found for id in ids] == list(many)
    assert [len(ids) for ids in found] == [100, 100, 50]


@pytest.mark.parametrize(
    ("name", "arguments", "durable", "said"),
    [
        (
            "email.send.queue",
            {"x-queue-type": "classic"},
            True,
            "x-queue-type|x-dead-letter|x-delivery-limit",
        ),
        ("email.send.dead", {}, False, "durable|x-queue-type"),
        ("email.status.queue", {"x-queue-type": "quorum"}, True, "x-dead-letter|x-delivery-limit|x-overflow"),
    ],
)
async def test_a_queue_that_is_not_as_it_must_be_is_refused(
    rabbitmq: str, name: str, arguments: dict[str, str], durable: bool, said: str
) -> None:
    connection = await aio_pika.connect(rabbitmq)
    await (await connection.channel()).declare_queue(name, durable=durable, arguments=arguments)
    with pytest.raises(QueueUnfit, match=rf"the queue {name} .*({said}).*Delete what is there"):
        await RabbitQueue(rabbitmq).start()
    await connection.close()


async def test_an_exchange_of_another_type_is_refused(rabbitmq: str) -> None:
    connection = await aio_pika.connect(rabbitmq)
    await (await connection.channel()).declare_exchange("email.send.exchange", ExchangeType.TOPIC)
    with pytest.raises(QueueUnfit, match=r"the exchange email\.send\.exchange .*type|durable"):
        await RabbitQueue(rabbitmq).start()
    await connection.close()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("posthouse:posthouse@", "posthouse:s3cret@", "refuses the user"),
        ("/posthouse-", "/nowhere-", "virtual host"),
    ],
)
async def test_a_refusal_is_said(rabbitmq: str, old: str, new: str, said: str) -> None:
    queue = RabbitQueue(rabbitmq.replace(old, new))
    with pytest.raises(QueueUnfit, match=said) as refused:
        await queue.start()
    assert "s3cret" not in str(refused.value)


async def test_nobody_there(free_url: str) -> None:
    """Not at start, not later: the second door finds the mail."""
    queue = RabbitQueue(free_url)
    await queue.start()
    with pytest.raises(QueueAway, match="does not answer"):
        await queue.publish([plain()])
    with pytest.raises(QueueAway):
        await queue.depth()
    await queue.stop()


@pytest.fixture
def free_url() -> str:
    from tests.journey.house import free_port

    return f"amqp://posthouse:posthouse@127.0.0.1:{free_port()}/"


# Ack after settle.


async def test_an_event_is_acked_when_all_of_it_is_settled(rabbitmq: str, queue: RabbitQueue) -> None:
    """Settled, it is gone; not settled, others have it once its worker is."""
    first, holder = RabbitQueue(rabbitmq), Holder()
    task = asyncio.create_task(first.consume(holder))
    await queue.publish([plain("settled")])
    await eventually(lambda: holder.ids == ["settled"])
    holder.settle()
    await queue.publish([Hint("transactional", ("two", "three"))])
    await eventually(lambda: len(holder.taken) == 2)
    holder.taken[1][1].settled("two")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await first.stop()
    worker = Worker()
    async with consuming(queue, worker):
        await eventually(lambda: worker.heard_of("transactional", "three"))
        await queue.publish([plain("last")])
        await eventually(lambda: worker.heard_of("transactional", "last"))
    assert not worker.heard_of("transactional", "settled")


async def test_what_is_settled_after_the_last_event_was_taken_is_acked_by_the_stop(
    rabbitmq: str, other: AbstractChannel
) -> None:
    """A worker stops taking, then drains, then the queue is stopped."""
    queue, holder = RabbitQueue(rabbitmq), Holder()
    task = asyncio.create_task(queue.consume(holder))
    await queue.publish([plain()])
    await eventually(lambda: bool(holder.taken))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    holder.settle()
    await queue.stop()
    assert await waiting(other, "email.send.queue") == 0


async def test_events_that_wait_for_their_settling_do_not_hold_up_the_next(queue: RabbitQueue) -> None:
    holder = Holder()
    task = asyncio.create_task(queue.consume(holder))
    for number in range(200):
        await queue.publish([plain(f"id-{number}")])
    await eventually(lambda: len(holder.ids) == 200)
    task.cancel()


async def test_prefetch_leaves_the_rest_to_others(rabbitmq: str, queue: RabbitQueue) -> None:
    """One that has no room takes no more than may wait; another has the rest at once."""

    async def full(hint: Hint) -> Taken:
        await asyncio.Event().wait()
        return Taken()

    slow = RabbitQueue(rabbitmq)
    task = asyncio.create_task(slow.consume(full))
    for start in range(0, 400, 50):
        await asyncio.gather(*(queue.publish([plain(f"id-{start + n}")]) for n in range(50)))
    worker = Worker()
    async with consuming(queue, worker):
        await eventually(lambda: sum(len(hint.ids) for hint in worker.hints) >= 400 - 256)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await slow.stop()


async def test_a_hint_without_room_for_long_is_given_to_the_second_door(
    queue: RabbitQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HELD_SECONDS", 0.2)
    started: list[Hint] = []

    async def full(hint: Hint) -> Taken:
        started.append(hint)
        await asyncio.Event().wait()
        return Taken()

    task = asyncio.create_task(queue.consume(full))
    await queue.publish([plain()])
    await eventually(lambda: bool(started))
    assert queue._intake is not None
    running = queue._intake._running
    await eventually(lambda: not running)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await queue.stop()
    assert await queue.depth() == {"transactional": 0, "bulk": 0}
    await queue.stop()


# Foreign producers.


class Shelf:
    """Stores the mail of events: keeps what it gets; raises `errors` first."""

    def __init__(self, *errors: Exception) -> None:
        self.stored: list[tuple[EmailSendEvent, Lane]] = []
        self._errors = list(errors)

    async def __call__(self, event: EmailSendEvent, lane: Lane) -> Hint:
        self.stored.append((event, lane))
        if self._errors:
            raise self._errors.pop(0)
        return Hint(lane, (f"id-of-{event.event_id}",))


@asynccontextmanager
async def taking(url: str, shelf: Shelf, worker: Worker, **named: str) -> AsyncIterator[None]:
    async def find(names: Sequence[str]) -> dict[str, str]:
        return {name: named[name] for name in names if name in named}

    queue = RabbitQueue(url, shelf, find)
    await queue.start()
    async with consuming(queue, worker):
        yield
    await queue.stop()


@pytest.mark.parametrize(("key", "lane"), [("email.send", "transactional"), ("email.send.bulk", "bulk")])
async def test_an_event_with_its_mail_is_stored_and_taken(
    rabbitmq: str, other: AbstractChannel, key: str, lane: Lane
) -> None:
    shelf, worker = Shelf(StoreAway("away")), Worker()
    await publish(other, {**MAIL, "sender": None, "traceId": "who knows"}, key)
    async with taking(rabbitmq, shelf, worker):
        await eventually(lambda: worker.heard_of(lane, "id-of-order-1"))
    event, told_lane = shelf.stored[1]
    assert (event.recipient, event.subject, event.text, told_lane) == ("ann@example.org", "Ü", "t", lane)
    assert await waiting(other, DEAD) == 0


async def test_an_event_that_only_names_its_document(rabbitmq: str, other: AbstractChannel) -> None:
    """A producer's own name is looked up; what is not found is an id of ours."""
    worker = Worker()
    await publish(other, {"eventIds": ["order-2", "ours-2"]})
    await publish(other, {"eventId": "order-1"})
    async with taking(rabbitmq, Shelf(), worker, **{"order-1": "id-1", "order-2": "id-2"}):
        for id in ("id-1", "id-2", "ours-2"):
            await eventually(lambda id=id: worker.heard_of("transactional", id))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"eventId": "on', "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        ([1, 2], "Expected `object`"),
        ({"eventId": 5}, r"$.eventId"),
        ({"eventId": "a b"}, r"$.eventId"),
        ({"eventIds": ["x"] * 101}, r"$.eventIds"),
        ({}, "neither eventId nor eventIds"),
        ({"recipient": "ann@example.org", "subject": "s"}, "eventId is missing"),
        ({"eventId": "a", "subject": "s", "html": "h"}, "recipient is missing"),
        ({**MAIL, "attachments": [{"filename": "f", "content": "%"}]}, r"$.attachments[0].content"),
    ],
)
async def test_what_cannot_be_read_is_a_dead_letter_once_and_stops_nobody(
    rabbitmq: str, other: AbstractChannel, body: Any, reason: str
) -> None:
    worker = Worker()
    await publish(other, body)
    async with taking(rabbitmq, Shelf(), worker):
        await publish(other, {"eventId": "next"})
        await eventually(lambda: worker.heard_of("transactional", "next"))
        dead = await take_one(other, DEAD)
    assert reason in str(dead.headers["x-reason"])
    assert dead.body == (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert await waiting(other, DEAD) == 0
    assert await waiting(other, "email.send.queue") == 0


async def test_what_can_become_no_mail_is_a_dead_letter_with_every_fault(
    rabbitmq: str, other: AbstractChannel
) -> None:
    await publish(other, MAIL)
    async with taking(rabbitmq, Shelf(Unreadable("/recipient: must be an address")), Worker()):
        dead = await take_one(other, DEAD)
    assert (dead.headers["x-reason"], dead.routing_key) == ("/recipient: must be an address", "email.send")


async def test_without_a_store_for_them_events_with_mail_are_dead_letters(
    queue: RabbitQueue, other: AbstractChannel
) -> None:
    await publish(other, MAIL)
    async with consuming(queue, Worker()):
        assert "not taken here" in str((await take_one(other, DEAD)).headers["x-reason"])


async def test_an_error_of_ours_is_tried_again(rabbitmq: str, other: AbstractChannel) -> None:
    shelf, worker = Shelf(RuntimeError("a bug")), Worker()
    await publish(other, MAIL)
    async with taking(rabbitmq, shelf, worker):
        await eventually(lambda: worker.heard_of("transactional", "id-of-order-1"))
    assert len(shelf.stored) == 2


async def test_what_no_worker_comes_to_an_end_with_is_a_dead_letter(
    rabbitmq: str, queue: RabbitQueue, other: AbstractChannel
) -> None:
    """Delivered twenty times, each time given back as by a worker that died."""
    await publish(other, MAIL)
    source = await other.get_queue("email.send.queue")
    for _ in range(19):
        message = await source.get(timeout=5)
        assert message is not None
        await message.reject(requeue=True)
    async with taking(rabbitmq, Shelf(), Worker()):
        dead = await take_one(other, DEAD)
    assert "delivered 20 times" in str(dead.headers["x-reason"])


# Status events.


class Records:
    """Keeps what it is told; answers `reasons` first, and raises `errors` before."""

    def __init__(self, *reasons: str | None, errors: Sequence[Exception] = ()) -> None:
        self.told: list[EmailStatusEvent] = []
        self._reasons, self._errors = list(reasons), list(errors)

    async def __call__(self, events: Sequence[EmailStatusEvent]) -> list[str | None]:
        if self._errors:
            raise self._errors.pop(0)
        self.told += events
        return [self._reasons.pop(0) if self._reasons else None for _ in events]


@asynccontextmanager
async def hearing(queue: RabbitQueue, records: Records) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.hear(records))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_told_is_heard_once(queue: RabbitQueue, other: AbstractChannel) -> None:
    records, events = Records(errors=[StoreAway("away")]), [told(f"id-{number}") for number in range(300)]
    await queue.tell(events)
    async with hearing(queue, records):
        await eventually(lambda: len(records.told) == 300)
        await queue.tell([told("last")])
        await eventually(lambda: len(records.told) == 301)
    assert [event.event_id for event in records.told] == [*(event.event_id for event in events), "last"]
    assert records.told[0].recipients == events[0].recipients
    assert await waiting(other, "email.status.queue") <= 1, "all but the last batch is acked"


async def test_a_status_event_without_a_record_is_a_dead_letter_and_stops_nobody(
    queue: RabbitQueue, other: AbstractChannel
) -> None:
    await publish(other, b"{", "email.status")
    records = Records("no mail has this eventId")
    async with hearing(queue, records):
        assert "not JSON" in str((await take_one(other, DEAD)).headers["x-reason"])
        await queue.tell([told("gone"), told("here")])
        await eventually(lambda: len(records.told) == 2)
        assert "no mail has" in str((await take_one(other, DEAD)).headers["x-reason"])


async def test_what_is_not_written_comes_again(rabbitmq: str, queue: RabbitQueue) -> None:
    """Whoever heard it went away before its record had it."""
    slow, begun = RabbitQueue(rabbitmq), asyncio.Event()

    async def never(events: Sequence[EmailStatusEvent]) -> list[str | None]:
        begun.set()
        await asyncio.Event().wait()
        return []

    task = asyncio.create_task(slow.hear(never))
    await queue.tell([told("one")])
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await slow.stop()
    records = Records()
    async with hearing(queue, records):
        await eventually(lambda: [event.event_id for event in records.told] == ["one"])
