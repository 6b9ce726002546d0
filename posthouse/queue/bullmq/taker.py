"""BullMQ's Worker as we use it: jobs are fetched by hand, stay active while they are tracked, and are answered by hand.

Rules: each job gets a token of its own; its lock is renewed until it is answered. Stalls are without limit: they mean
that a worker died, not that the job is bad. A fetch that has reached Redis is never cut off: the job would be nobody's.
"""

# BullMQ for Python has no types of use: what it takes and gives is typed where it meets us.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any

import bullmq
from redis.asyncio import Redis

from posthouse.queue.bullmq import jobs

IDLE = 1.0
"""Seconds that Redis holds a fetch when nothing waits."""
UNLIMITED = 1_000_000_000


class Job:
    """A fetched job: `data` is its JSON; `key` names it for ever, also beside the jobs after a wipe of Redis."""

    def __init__(self, worker: "_Worker", job: bullmq.Job, data: str) -> None:
        self._worker, self._job = worker, job
        self.id: str = job.id or ""
        self.name: str = job.name or ""
        self.data = data.encode()
        self.key = f"{job.id} {job.timestamp}"
        self.answering = False

    async def done(self, result: object) -> None:
        """Moves it to the completed ones; `result` is shown beside it."""
        with self._answered():
            keep = self._job.opts.get("removeOnComplete", jobs.KEEP_COMPLETED)
            await self._worker.backend.moveToCompleted(self._job, result, keep, self._token, fetch_next=False)

    async def fail(self, error: Exception) -> None:
        """Moves it to the failed ones, or lets it wait for its next attempt."""
        with self._answered():
            self._job.opts = {"removeOnFail": jobs.KEEP_FAILED, **self._job.opts, "stackTraceLimit": 0}
            await self._job.moveToFailed(error, self._token)

    async def refuse(self, why: str) -> None:
        """Moves it to the failed ones, whatever attempts it has left."""
        await self.fail(bullmq.UnrecoverableError(why))

    async def put_back(self, wait: float = 0.0) -> None:
        """Lets others have it in `wait` seconds; no attempt is spent."""
        with self._answered():
            await self._job.moveToDelayed(int((time.time() + wait) * 1000) if wait else 0, self._token)

    async def show(self, percent: int) -> None:
        """Its progress, for those who watch."""
        await self._job.updateProgress(percent)

    @property
    def _token(self) -> str:
        return self._job.token or ""

    @contextlib.contextmanager
    def _answered(self) -> Generator[None]:
        self.answering = True
        try:
            yield
        finally:
            self._worker.lockManager.untrack_job(self.id)


class _Worker(bullmq.Worker):
    """Tells of each job that arrives, a job that BullMQ itself cannot read included."""

    def __init__(self, name: str, options: dict[str, Any], arrived: Callable[[Job], None]) -> None:
        super().__init__(name, None, options)
        self._arrived = arrived
        self.moving: asyncio.Future[Any] | None = None

    async def moveToActive(self, token: str) -> Any:  # noqa: N802
        self.moving = asyncio.ensure_future(super().moveToActive(token))
        return await asyncio.shield(self.moving)

    async def nextJobFromJobData(  # noqa: N802
        self,
        job_data: dict[str, str] | None = None,
        job_id: str | None = None,
        limit_until: int = 0,
        delay_until: int = 0,
        token: str | None = None,
    ) -> bullmq.Job | None:
        try:
            job = await super().nextJobFromJobData(job_data, job_id, limit_until, delay_until, token)
        except (ValueError, TypeError, AttributeError):
            if job_data is None:
                raise
            job = bullmq.Job(self, job_data.get("name", ""), None, {}, job_id)
            job.token = token
        if job is not None and job_data is not None:
            self.lockManager.track_job(job.id, token, int(time.time() * 1000))
            self._arrived(Job(self, job, job_data.get("data", "")))
        return job


class Taker:
    """Fetches jobs of the queue `name`; `arrived` gets each. A lock holds `lock` seconds."""

    def __init__(self, name: str, client: Redis, lock: float, arrived: Callable[[Job], None]) -> None:
        milliseconds = int(lock * 1000)
        options = {
            "connection": client,
            "drainDelay": IDLE,
            "lockDuration": milliseconds,
            "stalledInterval": milliseconds,
            "maxStalledCount": UNLIMITED,
        }
        self._worker = _Worker(name, options, arrived)
        self._client, self._lock, self._fetches = client, lock, 0
        self._next_check = 0.0

    async def fetch(self) -> None:
        """Asks for a job, and waits up to IDLE seconds for one. Now and then puts back first what dead workers left."""
        self._worker.lockManager.start()
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + self._lock
            await self._worker.runStalledJobsCheck()
        self._fetches += 1
        await self._worker.getNextJob(f"{self._worker.id}:{self._fetches}")

    async def has_plain(self) -> bool:
        """Whether a job without priority waits: it would be the next one."""
        return await self._client.llen(self._worker.backend.toKey("wait")) > 0

    async def landed(self) -> None:
        """Returns when no fetch is in the air."""
        if self._worker.moving is not None:
            await asyncio.wait([self._worker.moving])

    async def close(self) -> None:
        """No lock is renewed any more."""
        await self._worker.lockManager.close()
