"""Takes jobs out of BullMQ and answers them: fetched one by one, gathered by lane, acked after settle.

Rules: a job stays active, its lock renewed, until all of it is settled; a foreign mail is stored first. AHEAD bounds
what is fetched and not yet leased, so that other workers find work too; where bulk has as much, only jobs without
priority are fetched. A campaign's job takes none of that room (queue.bullmq.course). What cannot be read fails for good. No error ends the intake. BullMQ's own loop is not used: it
bounds jobs, not messages, asks Redis once for each job that it might run whenever one comes, and sleeps for 15 s when
Redis was away.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Generator

import structlog
from redis.asyncio import Redis

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Lane
from posthouse.queue.base import Follow, Foreign, Handler, Hint, Unreadable
from posthouse.queue.bullmq import jobs
from posthouse.queue.bullmq.address import AWAY
from posthouse.queue.bullmq.course import accompany
from posthouse.queue.bullmq.taker import Job, Taker
from posthouse.queue.lane import LaneQueue

AHEAD = 128
"""Messages fetched and not yet leased, in each lane."""
BYTES_AHEAD = 256 << 10
"""Bytes of a foreign mail that count as one more message."""
LOOK = 0.02
"""Seconds between two looks for other jobs while bulk has enough."""
AGAIN = 1.0
"""Seconds before what was away is asked again."""
CLOSE_SECONDS = 2.0


class Intake:
    """Feeds a handler with the jobs of one queue; `foreign` stores the mail of foreign producers, `follow` knows of
    campaigns."""

    def __init__(
        self, client: Redis, queue: str, foreign: Foreign | None, lock: float, follow: Follow | None = None
    ) -> None:
        self._taker = Taker(queue, client, lock, self._start)
        self._queue, self._foreign, self._follow = queue, foreign, follow
        self._log = structlog.get_logger("queue")
        self._lanes = {lane: LaneQueue(lane) for lane in LANES}
        self._ahead: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._less = asyncio.Event()
        self._running: dict[asyncio.Task[None], Job] = {}
        self._away = False

    async def run(self, handler: Handler) -> None:
        """Works until cancelled; what was leased by then is acked as it is settled, until `close`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fetch())
            for lane in self._lanes.values():
                group.create_task(lane.hand_over(handler))

    async def close(self) -> None:
        """Ends the answers in the air, and puts back for others what is not settled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._taker.landed()
                for task, job in self._running.items():
                    if not job.answering:
                        task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)
        await self._taker.close()

    async def _fetch(self) -> None:
        while not _cancelling():
            try:
                await self._room()
                await self._taker.fetch()
            except AWAY as error:
                if not self._away:
                    self._log.warning("queue away", why=str(error) or type(error).__name__)
                self._away = True
                await asyncio.sleep(AGAIN)
            else:
                if self._away:
                    self._log.info("queue back")
                self._away = False

    async def _room(self) -> None:
        """Returns when another job may be fetched."""
        while self._ahead["transactional"] >= AHEAD:
            self._less.clear()
            await self._less.wait()
        while self._ahead["bulk"] >= AHEAD and not (_cancelling() or await self._taker.has_plain()):  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    def _start(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._running[task] = job
        task.add_done_callback(self._running.pop)

    async def _run(self, job: Job) -> None:
        """The life of a job."""
        try:
            if job.name in jobs.CAMPAIGN:
                await self._answer(job, await accompany(job, self._follow))
                return
            with self._counted("transactional", 1 + len(job.data) // BYTES_AHEAD):
                hint = await self._read(job)
            with self._counted(hint.lane, max(1, len(hint.ids))):
                taken = await self._lanes[hint.lane].take(hint)
            await taken.over()
        except Unreadable as error:
            await self._answer(job, job.refuse(str(error)))
        except asyncio.CancelledError:
            await self._answer(job, job.put_back())
        except Exception as error:
            self._log.exception("job not done", job=job.id)
            await self._answer(job, job.fail(error))
        else:
            await self._answer(job, job.done(list(hint.ids)))

    @contextlib.contextmanager
    def _counted(self, lane: Lane, messages: int) -> Generator[None]:
        self._ahead[lane] += messages
        try:
            yield
        finally:
            self._ahead[lane] -= messages
            self._less.set()

    async def _read(self, job: Job) -> Hint:
        hint = jobs.read(job.name, job.data)
        while hint is None:
            if self._foreign is None:
                raise Unreadable("mail of foreign producers is not taken here")
            try:
                hint = await self._foreign(job.data, self._queue, job.key)
            except StoreAway as error:
                self._log.warning("store away", during="foreign mail", why=str(error))
                await asyncio.sleep(AGAIN)
        return hint

    async def _answer(self, job: Job, answer: Awaitable[None]) -> None:
        """A job that Redis no longer has needs no answer. One that cannot be answered stalls, comes again, and then
        nothing of it is left to do."""
        try:
            await answer
        except Exception as error:
            self._log.info("job not answered", job=job.id, why=str(error))


def _cancelling() -> bool:
    """Whether the running task was cancelled: the Redis client now and then keeps that to itself (1 in 50 times)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
