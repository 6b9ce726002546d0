"""The queue contract: what every queue keeps (posthouse.queue.base), as tests. Subclass QueueContract.

Give it a fixture `queue`: a queue, started, with nothing waiting, stopped when the test is over.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Lane
from posthouse.queue.base import Hint, Queue, Taken

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


class Worker:
    """A handler that keeps the hints it gets; `answers` are what it answers first (an error is raised), then nothing
    leased. An answer is a number of messages, all of them settled."""

    def __init__(self, *answers: int | Exception) -> None:
        self.hints: list[Hint] = []
        self._answers = list(answers)

    async def __call__(self, hint: Hint) -> Taken:
        """Takes a hint."""
        self.hints.append(hint)
        answer = self._answers.pop(0) if self._answers else 0
        if isinstance(answer, Exception):
            raise answer
        return all_settled(answer)

    def heard_of(self, lane: Lane, id: str) -> bool:
        """Whether a hint would lead to this message: one that names it, or one for all of its lane."""
        return any(hint.lane == lane and (id in hint.ids or not hint.ids) for hint in self.hints)


def all_settled(count: int) -> Taken:
    """So many messages were leased, and all of them are settled."""
    ids = [str(number) for number in range(count)]
    taken = Taken(ids)
    for id in ids:
        taken.settled(id)
    return taken


@asynccontextmanager
async def consuming(queue: Queue, worker: Worker) -> AsyncGenerator[asyncio.Task[None]]:
    """The worker at work, until the end of the block."""
    task = asyncio.create_task(queue.consume(worker))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns when it is true; fails after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def emptied(queue: Queue) -> None:
    """Returns when no hint waits; fails after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if not any((await queue.depth()).values()):
                return
            await asyncio.sleep(0.005)


class QueueContract:
    """What every queue keeps."""

    async def test_a_hint_reaches_the_handler(self, queue: Queue) -> None:
        worker = Worker()
        async with consuming(queue, worker):
            for number, lane in enumerate(LANES):
                worker.hints.clear()
                await queue.publish([Hint(lane, (f"id-{number}",))])
                await eventually(lambda lane=lane, id=f"id-{number}": worker.heard_of(lane, id))

    async def test_what_was_published_before_anybody_listened(self, queue: Queue) -> None:
        worker = Worker()
        await queue.publish([Hint(lane, ("early",)) for lane in LANES])
        async with consuming(queue, worker):
            await eventually(lambda: all(worker.heard_of(lane, "early") for lane in LANES))

    async def test_a_doubled_hint_does_no_harm(self, queue: Queue) -> None:
        worker = Worker()
        async with consuming(queue, worker):
            await queue.publish([Hint("bulk", ("one",))] * 3)
            await queue.publish([Hint("bulk", ("one",)), Hint("transactional", ("two",))])
            await eventually(
                lambda: worker.heard_of("bulk", "one") and worker.heard_of("transactional", "two")
            )

    async def test_publishing_nothing(self, queue: Queue) -> None:
        await queue.publish([])

    async def test_a_handler_that_raises_does_not_end_consumption(self, queue: Queue) -> None:
        worker = Worker(StoreAway("away"), RuntimeError("a bug"), ValueError("another"))
        async with consuming(queue, worker) as task:
            for id in ("one", "two", "three"):
                worker.hints.clear()
                await queue.publish([Hint("transactional", (id,)), Hint("bulk", (id,))])
                await eventually(lambda id=id: all(worker.heard_of(lane, id) for lane in LANES))
                assert not task.done()

    async def test_a_busy_handler_of_one_lane_does_not_hold_up_the_other(self, queue: Queue) -> None:
        held, heard = asyncio.Event(), asyncio.Event()

        async def handler(hint: Hint) -> Taken:
            if hint.lane == "bulk":
                held.set()
                await asyncio.Event().wait()
            elif held.is_set():
                heard.set()
            return Taken()

        task = asyncio.create_task(queue.consume(handler))
        async with asyncio.timeout(PATIENCE):
            await queue.publish([Hint("bulk", ("slow",))])
            await held.wait()
            await queue.publish([Hint("transactional", ("quick",))])
            await heard.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def test_depth_names_both_lanes_and_falls_to_nothing(self, queue: Queue) -> None:
        assert await queue.depth() == {"transactional": 0, "bulk": 0}
        await queue.publish([Hint("bulk", ("one",))])
        assert (await queue.depth())["bulk"] >= 1
        worker = Worker()
        async with consuming(queue, worker):
            await emptied(queue)
            await eventually(lambda: worker.heard_of("bulk", "one"))

    async def test_after_a_stop_nothing_is_consumed(self, queue: Queue) -> None:
        worker = Worker()
        async with consuming(queue, worker):
            await queue.publish([Hint("bulk", ("one",))])
            await eventually(lambda: worker.heard_of("bulk", "one"))
        await queue.stop()
        heard = len(worker.hints)
        await asyncio.sleep(0)
        assert len(worker.hints) == heard
