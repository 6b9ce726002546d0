"""Campaigns beside other queues: RabbitMQ, which knows nothing of them; BullMQ, where Bull Board shows their jobs."""

from pathlib import Path

import httpx2

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.campaigns import alone, rider, riders
from tests.journey.house import until
from tests.journey.test_foreign_jobs import MAIL, Producer, board, producer, send, shown

__all__ = ["board", "producer"]

SLOW = Rule(step="end", delay=0.02)


async def test_rabbitmq_as_the_queue_changes_nothing(tmp_path: Path, rabbitmq: str) -> None:
    async with SmtpSink([SLOW]) as sink, alone(tmp_path, sink, riders(200), queue=rabbitmq) as place:
        id = await place.begin()
        await sink.received(20)
        assert (await place.act(id, "pause")).json()["status"] == "PAUSED"
        await place.api.until(await place.api.send(), "sent")
        assert (await place.act(id, "resume")).status_code == 200
        job = await place.over(id)
        assert (job["status"], job["sentCount"], job["queueJobId"]) == ("COMPLETED", 200, None)
        assert {place.taken[rider(n)] for n in range(200)} == {1}
        place.audit()


async def test_bull_board_shows_the_job_of_a_campaign_and_its_progress(
    tmp_path: Path, producer: Producer, board: httpx2.AsyncClient
) -> None:
    """Active while it is at work; put back while it is one more than may be; completed with it, and again when what
    failed is sent again. A mail of somebody else passes all of them."""
    refused = Rule(step="RCPT", match=rider(7), reply="550 5.1.1 no such rider", times=1)
    settings = {"queue": producer.url, "jobs": "1"}
    async with SmtpSink([refused]) as sink, alone(tmp_path, sink, riders(200), **settings) as place:
        id = await place.begin(rate="40/s")
        second = await place.begin(
            recipients=[{"email": rider(1), "variables": {"horse": "Fury"}}], roleFilter=None
        )

        async def job_of(status: str, campaign: str) -> dict[str, object] | None:
            found = (await shown(board, producer.queue, status))["jobs"]
            return next((job for job in found if job["data"] == {"emailJobId": campaign}), None)

        seen: list[int] = []

        async def half() -> bool:
            job = await job_of("active", id)
            seen.extend([job["progress"]] if job and isinstance(job["progress"], int) else [])
            return len({progress for progress in seen if progress > 0}) >= 2

        await until(half, 30)
        assert seen == sorted(seen) and seen[-1] < 100
        assert await job_of("delayed", second), "the second is beyond what may be at once"
        await producer.add(send({**MAIL, "to": "foreign@example.org"}))
        await sink.until(lambda: "foreign@example.org" in place.taken, 10)
        assert (await place.job(id))["status"] == "PROCESSING"
        first = await place.over(id)
        await until(lambda: job_of("completed", id), 20)
        done = await job_of("completed", id)
        assert done and (done["id"], done["name"], done["progress"]) == (
            first["queueJobId"],
            "send-email",
            100,
        )
        await place.over(second)
        assert (await place.act(id, "retry-failed")).status_code == 200
        assert (await place.over(id))["sentCount"] == 200

        async def both() -> bool:
            jobs = (await shown(board, producer.queue, "completed"))["jobs"]
            return sum(job["data"] == {"emailJobId": id} for job in jobs) == 2

        await until(both, 20)
        await producer.add({"name": "send-bulk", "data": {"emailJobId": id}, "opts": {}})
        await until(lambda: idle(board, producer.queue), 20)


async def idle(board: httpx2.AsyncClient, queue: str) -> bool:
    """Nothing waits and nothing failed."""
    counts = (await shown(board, queue))["counts"]
    return not any(counts.get(name, 0) for name in ("active", "waiting", "prioritized", "delayed", "failed"))
