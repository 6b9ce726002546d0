"""The jobs of campaigns in BullMQ: active with their progress, put back while there is nothing to do, taken over."""

import asyncio
from typing import Any

import pytest
from bullmq import Queue as Board

from posthouse.mail.errors import StoreAway
from posthouse.queue.base import Campaigning, Course
from posthouse.queue.bullmq import BullQueue
from posthouse.testing.queue import Worker, consuming, eventually
from tests.contract.test_bullmq_queue import board, counted, plain, queue, url
from tests.journey.house import until

__all__ = ["board", "queue", "url"]


class Office:
    """Knows how far campaigns are: as `courses` say; `errors` come first. Notes who was asked for."""

    def __init__(self, *errors: Exception, **courses: Course) -> None:
        self.courses, self._errors = courses, list(errors)
        self.asked: list[str] = []

    async def __call__(self, id: str) -> Course | None:
        self.asked.append(id)
        if self._errors:
            raise self._errors.pop(0)
        return self.courses.get(id)


async def progress(board: Board, id: str) -> Any:
    """What is shown beside a job."""
    return await board.client.hget(board.toKey(id), "progress")


async def test_announced_it_waits_behind_everything(queue: BullQueue, board: Board) -> None:
    assert isinstance(queue, Campaigning)
    id = await queue.announce("spring")
    (job,) = await board.getJobs(["prioritized"])
    assert (job.id, job.name, job.data, job.priority) == (id, "send-email", {"emailJobId": "spring"}, 10)


async def test_it_is_active_with_its_progress_and_completes(queue: BullQueue, board: Board) -> None:
    office = Office(spring=Course(percent=3))
    queue.accompany(office)
    id = await queue.announce("spring")
    async with consuming(queue, Worker()):
        for percent in (3, 50, 99):
            office.courses["spring"] = Course(percent=percent)

            async def shown(percent: int = percent) -> bool:
                return await progress(board, id) == str(percent)

            await until(shown, 10)
            await counted(board, active=1, completed=0)
        office.courses["spring"] = Course(percent=100, over=True)
        await counted(board, active=0, completed=1)
    assert await progress(board, id) == "100"


async def test_one_that_is_not_at_work_is_put_back_and_leaves_the_door_open(
    queue: BullQueue, board: Board
) -> None:
    """More of them than any process would have at once: hints are found between them, and no attempt is spent."""
    names = [f"campaign-{number}" for number in range(300)]
    office, worker = Office(**{name: Course(wait=0.5) for name in names}), Worker()
    queue.accompany(office)
    ids = [await queue.announce(name) for name in names]
    async with consuming(queue, worker):
        await eventually(lambda: len(set(office.asked)) > 100)
        await queue.publish([plain()])
        await eventually(lambda: worker.heard_of("transactional", "one"))
        await eventually(lambda: len(office.asked) > 2 * len(names))
        office.courses = {name: Course(percent=100, over=True) for name in names}
        await counted(board, active=0, completed=100, delayed=0, prioritized=0, failed=0)
    assert int(await board.client.hget(board.toKey(ids[-1]), "atm") or 0) <= 1


@pytest.mark.parametrize("name", ["send-email", "send-bulk"])
async def test_a_foreign_producers_job(queue: BullQueue, board: Board, name: str) -> None:
    queue.accompany(Office(spring=Course(percent=100, over=True)))
    await board.add(name, {"emailJobId": "spring", "more": 1})
    async with consuming(queue, Worker()):
        await counted(board, completed=1, failed=0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"emailJobId": "winter"}, "there is no such campaign"),
        ({"emailJobId": 7}, "the data must be"),
        ({}, "the data must be"),
    ],
)
async def test_what_is_no_campaign_fails_with_the_reason(
    queue: BullQueue, board: Board, data: Any, reason: str
) -> None:
    queue.accompany(Office())
    await board.add("send-email", data, {"attempts": 3})
    async with consuming(queue, Worker()):
        await counted(board, failed=1, active=0, delayed=0)
    (job,) = await board.getFailed()
    assert reason in job.failedReason


async def test_without_campaigns_here_it_says_so(queue: BullQueue, board: Board) -> None:
    await queue.announce("spring")
    async with consuming(queue, Worker()):
        await counted(board, failed=1)
    (job,) = await board.getFailed()
    assert "whose store is SQL" in job.failedReason


async def test_while_the_store_is_away_it_stays(queue: BullQueue, board: Board) -> None:
    queue.accompany(Office(StoreAway("away"), StoreAway("away"), spring=Course(percent=100, over=True)))
    await queue.announce("spring")
    async with consuming(queue, Worker()):
        await counted(board, completed=1, failed=0)


async def test_a_worker_that_died_leaves_it_to_another_and_no_attempt_is_spent(
    url: str, board: Board
) -> None:
    first = BullQueue(url, lock=0.4)
    at_work, after = Office(spring=Course(percent=7)), Office(spring=Course(percent=100, over=True))
    await first.start()
    first.accompany(at_work)
    id = await first.announce("spring")
    task = asyncio.create_task(first.consume(Worker()))
    await eventually(lambda: bool(at_work.asked))
    second = BullQueue(url, lock=0.4)
    await second.start()
    second.accompany(after)
    async with consuming(second, Worker()):
        await board.client.delete(f"{board.toKey(id)}:lock")
        task.cancel()
        await eventually(lambda: bool(after.asked))
        await counted(board, completed=1, failed=0, active=0)
    await first.stop()
    await second.stop()


async def test_a_stop_puts_it_back_at_once(url: str, board: Board) -> None:
    queue, office = BullQueue(url), Office(spring=Course(percent=7))
    await queue.start()
    queue.accompany(office)
    await queue.announce("spring")
    task = asyncio.create_task(queue.consume(Worker()))
    await eventually(lambda: bool(office.asked))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await queue.stop()
    counts = await board.getJobCounts("active", "prioritized", "delayed")
    assert (counts["active"], counts["prioritized"] + counts["delayed"]) == (0, 1)


async def test_a_wiped_redis_ends_nothing(queue: BullQueue, board: Board) -> None:
    """The job is gone; those that come later are taken."""
    office = Office(spring=Course(percent=7), summer=Course(percent=100, over=True))
    queue.accompany(office)
    id = await queue.announce("spring")
    async with consuming(queue, Worker()):
        await eventually(lambda: "spring" in office.asked)
        await board.client.delete(board.toKey(id), f"{board.toKey(id)}:lock", board.toKey("active"))
        office.courses["spring"] = Course(percent=100, over=True)
        await queue.announce("summer")
        await counted(board, completed=1, active=0)
