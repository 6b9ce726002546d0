"""The queue `store:` keeps the contract, and wakes its lanes when the store says that mail is due."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Lane
from posthouse.queue.base import Hint, Taken
from posthouse.queue.store import LONGEST, StoreQueue
from posthouse.testing.queue import QueueContract, Worker, consuming, eventually


async def nothing_due(lane: Lane) -> None:
    return None


class TestStoreQueue(QueueContract):
    @pytest.fixture
    async def queue(self) -> AsyncIterator[StoreQueue]:
        queue = StoreQueue(nothing_due)
        await queue.start()
        yield queue
        await queue.stop()


async def test_it_looks_again_when_mail_becomes_due() -> None:
    """Long before the look that it takes once a second in any case."""
    asked = 0

    async def next_due(lane: Lane) -> float:
        nonlocal asked
        asked += 1
        return 0.02

    worker = Worker()
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with consuming(StoreQueue(next_due), worker):
        await eventually(lambda: len(worker.hints) >= 8)
    assert loop.time() - started < LONGEST
    assert asked >= 3


@pytest.mark.parametrize("due", [None, 3600.0, StoreAway("away")])
async def test_it_looks_once_a_second_in_any_case(due: float | Exception | None) -> None:
    """Other processes write to the same store; and a store that was away may be back."""

    async def next_due(lane: Lane) -> float | None:
        if isinstance(due, Exception):
            raise due
        return due

    worker = Worker()
    async with consuming(StoreQueue(next_due), worker):
        await eventually(lambda: len(worker.hints) >= 4)
    assert {hint.lane for hint in worker.hints} == set(LANES)
    assert all(hint.ids == () for hint in worker.hints)


async def test_a_lane_is_asked_again_as_long_as_it_gives_work() -> None:
    worker = Worker(5, 5, 5, 5)
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with consuming(StoreQueue(nothing_due), worker):
        await eventually(lambda: len(worker.hints) >= 6)
    assert loop.time() - started < LONGEST


async def test_mail_published_while_the_handler_works_is_not_missed() -> None:
    queue, seen = StoreQueue(nothing_due), 0

    async def handler(hint: Hint) -> Taken:
        nonlocal seen
        seen += hint.lane == "bulk"
        if seen == 1:
            await queue.publish([Hint("bulk", ("late",))])
        return Taken()

    loop = asyncio.get_running_loop()
    started = loop.time()
    task = asyncio.create_task(queue.consume(handler))
    await eventually(lambda: seen >= 2)
    task.cancel()
    assert loop.time() - started < LONGEST
