"""The queue `amqp://` while RabbitMQ is restarted and hangs: nothing waits for it, and all goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from posthouse.queue.base import Hint, QueueAway
from posthouse.queue.rabbitmq import RabbitQueue
from posthouse.testing.queue import Worker, consuming, eventually
from tests.journey.house import until
from tests.rabbit_server import Broker, own_broker
from tests.services import emptied

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with own_broker() as broker:
        yield broker


@pytest.fixture
async def url(broker: Broker) -> str:
    return await emptied(broker.url(""), 0)


@pytest.fixture
async def queue(url: str) -> AsyncIterator[RabbitQueue]:
    queue = RabbitQueue(url)
    await queue.start()
    yield queue
    await queue.stop()


def plain(id: str) -> Hint:
    return Hint("transactional", (id,))


async def published(queue: RabbitQueue, id: str) -> None:
    """Returns when the broker has it."""

    async def done() -> bool:
        try:
            await queue.publish([plain(id)])
        except QueueAway:
            return False
        return True

    await until(done, 60)


async def test_after_a_restart_it_goes_on_and_what_was_confirmed_is_there(
    broker: Broker, queue: RabbitQueue
) -> None:
    """Killed, as if the machine had lost power."""
    worker = Worker()
    async with consuming(queue, worker):
        await queue.publish([plain("before")])
        await eventually(lambda: worker.heard_of("transactional", "before"))
    await queue.publish([plain("kept")])
    await asyncio.to_thread(broker.stop)
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(QueueAway):
        await queue.publish([plain("lost")])
    with pytest.raises(QueueAway):
        await queue.depth()
    assert loop.time() - started < 5
    async with consuming(queue, worker):
        await asyncio.to_thread(broker.start)
        await published(queue, "after")
        await until(lambda: worker.heard_of("transactional", "after"), 60)
        await until(lambda: worker.heard_of("transactional", "kept"), 60)


async def test_one_that_hangs_is_away_and_comes_back(broker: Broker, queue: RabbitQueue) -> None:
    worker = Worker()
    async with consuming(queue, worker):
        await queue.publish([plain("before")])
        await eventually(lambda: worker.heard_of("transactional", "before"))
        loop = asyncio.get_running_loop()
        with broker.hanging():
            for _ in range(2):
                started = loop.time()
                with pytest.raises(QueueAway):
                    await queue.publish([plain("lost")])
                assert loop.time() - started < 5
        await published(queue, "after")
        await until(lambda: worker.heard_of("transactional", "after"), 60)
