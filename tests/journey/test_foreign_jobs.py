"""Programs of others on our queue: Node's BullMQ puts mail into it, the real Bull Board shows what is in it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from posthouse.testing.sink import SmtpSink
from tests.journey.house import House, free_port, opened, until
from tests.journey.test_delivery import smtp

MAIL = {"to": "ann@example.org", "subject": "Horses", "body": "are changed here."}


class Producer:
    """A Node program with the real `bullmq`, on a queue of this test's own."""

    def __init__(self, node: Path, redis: str) -> None:
        self.node, self.redis, self.queue = node, redis, uuid4().hex
        self.url = f"{redis}?queue={self.queue}"

    async def add(self, *jobs: dict[str, Any]) -> list[str]:
        """Adds jobs; answers their ids."""
        command = ["node", "produce.mjs", self.redis, self.queue, json.dumps(jobs)]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=self.node, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return [job["id"] for job in json.loads(done.stdout)]


def send(data: Any, **opts: Any) -> dict[str, Any]:
    return {"name": "send", "data": data, "opts": opts}


@pytest.fixture
def producer(node: Path, redis: str) -> Producer:
    return Producer(node, redis)


@pytest.fixture
async def board(producer: Producer) -> AsyncIterator[httpx2.AsyncClient]:
    """Bull Board's own API."""
    port = free_port()
    command = ["node", "board.mjs", producer.redis, producer.queue, str(port)]
    process = subprocess.Popen(command, cwd=producer.node, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/api", trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=20)


async def shown(board: httpx2.AsyncClient, queue: str, status: str = "latest") -> dict[str, Any]:
    """The queue as the board lists it."""
    query = {"activeQueue": queue, "status": status, "page": "1", "jobsPerPage": "50"}
    return (await board.get("/queues", params=query)).json()["queues"][0]


async def records(house: House, count: int) -> list[dict[str, Any]]:
    """All records, once there are so many and all are closed."""
    found: list[dict[str, Any]] = []

    async def closed() -> bool:
        found[:] = await house.all()
        return len(found) == count and all(each["status"] != "PENDING" for each in found)

    await until(closed, 30, lambda: f"{found}\n{house.log[-3000:]}")
    return found


async def test_a_foreign_mail_becomes_a_record_and_is_sent(tmp_path: Path, producer: Producer) -> None:
    """With the fields of POST /email/send; it was there before Posthouse was."""
    more = {"cc": ["bob@example.org"], "tags": ["invoice"], "html": "<p>Hü</p>", "body": None}
    await producer.add(send({**MAIL, **more}), send({"ids": []}))
    async with SmtpSink() as sink, opened(tmp_path, smtp(sink.port), queue=producer.url) as house:
        (item,) = await records(house, 1)
        assert item["state"] == "sent"
        record = await house.get(item["id"])
        assert (record["cc"], record["tags"], record["html"]) == (more["cc"], more["tags"], more["html"])
        await producer.add(*(send({**MAIL, "to": f"user{n}@example.org"}) for n in range(60)))
        await records(house, 61)
        assert sink.taken == 61


async def test_the_same_job_again_sends_nothing_twice(tmp_path: Path, producer: Producer) -> None:
    """Job id and its time are the key: BullMQ counts from 1 again after a wipe, and brings jobs twice."""
    async with SmtpSink() as sink, opened(tmp_path, smtp(sink.port), queue=producer.url) as house:
        twice = send(MAIL, jobId="order-1", timestamp=1_700_000_000_000, removeOnComplete=True)
        await producer.add(twice)
        await records(house, 1)
        await producer.add(twice)
        await producer.add(send(MAIL, jobId="order-1", timestamp=1_700_000_000_001, removeOnComplete=True))
        await records(house, 2)
        assert sink.taken == 2


async def test_unreadable_jobs_stop_nobody_and_bull_board_shows_why(
    tmp_path: Path, producer: Producer, board: httpx2.AsyncClient
) -> None:
    secret = "not an address but a secret"
    await producer.add(
        send({"to": secret, "subject": "", "body": "b"}, attempts=5),
        send({**MAIL, "colour": "red"}),
        {"name": "paint", "data": MAIL, "opts": {}},
        send("just text"),
        send(MAIL),
    )
    async with SmtpSink() as sink, opened(tmp_path, smtp(sink.port), queue=producer.url) as house:
        await records(house, 1)
        assert sink.taken == 1

        async def settled() -> bool:
            counts = (await shown(board, producer.queue))["counts"]
            return (counts["failed"], counts["completed"], counts["active"]) == (4, 1, 0)

        await until(settled, 20)
        failed = (await shown(board, producer.queue, "failed"))["jobs"]
        reasons = {job["id"]: job["failedReason"] for job in failed}
        assert "/to" in reasons["1"]
        assert "/subject" in reasons["1"]
        assert secret not in reasons["1"]
        assert "/colour" in reasons["2"]
        assert "no jobs of this name" in reasons["3"]
        assert "the data must be" in reasons["4"]
        assert all(job["attempts"] == 1 for job in failed)


async def test_bull_board_shows_our_own_hints(
    tmp_path: Path, producer: Producer, board: httpx2.AsyncClient
) -> None:
    """Waiting without a worker; done once there is one."""
    async with SmtpSink() as sink:
        api = House(tmp_path, smtp(sink.port), ["serve", "--roles", "api"], queue=producer.url)
        worker = House(tmp_path, smtp(sink.port), ["worker"], queue=producer.url)
        worker.out = tmp_path / "worker.log"
        try:
            await api.start()
            id = await api.send()

            async def waiting() -> bool:
                return bool((await shown(board, producer.queue, "waiting"))["jobs"])

            await until(waiting, 10)
            (job,) = (await shown(board, producer.queue, "waiting"))["jobs"]
            assert (job["name"], job["data"], job["opts"]["attempts"]) == ("send", {"ids": [id]}, 3)
            await worker.start()
            await api.until(id, "sent")

            async def done() -> bool:
                queue = await shown(board, producer.queue, "completed")
                return [each["id"] for each in queue["jobs"]] == [job["id"]]

            await until(done, 10)
        finally:
            await worker.close()
            await api.close()
