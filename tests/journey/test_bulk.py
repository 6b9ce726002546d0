"""Deployment 4: campaigns by role from a template, with real processes and a real SMTP server.

Each story is told on SQLite in one process, and on PostgreSQL and Redis with an api and two workers.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from posthouse.mail.contact import Entry
from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.campaigns import (
    JOBS,
    POOL,
    Job,
    Place,
    added_up,
    alone,
    rider,
    riders,
    seconds_to_smtp,
    shared,
)
from tests.journey.test_postgres import call

SLOW = Rule(step="end", delay=0.02)


class Deploy(Protocol):
    """Starts a deployment that sends to `sink`."""

    def __call__(
        self, sink: SmtpSink, people: Sequence[Entry], *, connections: int = POOL
    ) -> AbstractAsyncContextManager[Place]: ...


@pytest.fixture(params=["sqlite", "postgres-redis"])
def deploy(request: pytest.FixtureRequest, tmp_path: Path) -> Deploy:
    """One process on SQLite, or several on PostgreSQL and Redis."""
    if request.param == "sqlite":
        return partial(alone, tmp_path)
    postgres, redis = (request.getfixturevalue(name) for name in ("postgres", "redis"))
    return partial(shared, tmp_path, postgres, queue=f"{redis}?queue={uuid4().hex}")


async def test_by_role_each_gets_one_mail_in_their_own_words(deploy: Deploy) -> None:
    """Though the server defers a fifth of them at first."""
    people = [*riders(300), *riders(20, "groom", start=1000)]
    later = [Rule(step="RCPT", match=rider(n), times=1, reply="451 4.3.0 later") for n in range(0, 300, 5)]
    async with SmtpSink(later) as sink, deploy(sink, people) as place:
        id = await place.begin(subject="{{ horse }} waits", metadata={"season": "spring"})
        job = await place.over(id)
        assert (job["status"], job["progress"]) == ("COMPLETED", 100)
        assert (job["totalCount"], job["sentCount"]) == (300, 300)
        assert (job["subject"], job["metadata"]) == ("{{ horse }} waits", {"season": "spring"})
        assert place.taken == {rider(n): 1 for n in range(300)}
        tries = [each["attempts"] for each in await place.recipients(id)]
        assert sorted(tries) == [1] * 240 + [2] * 60
        mail = next(mail for mail in sink.mails if mail.recipients == (rider(7),))
        assert b"Subject: Bayard-7 waits\r\n" in mail.data
        assert b"Dear Rider 7, you ride Bayard-7 from Ulm." in mail.data
        nobody = await place.over(await place.begin(roleFilter=["nobody"]))
        assert (nobody["status"], nobody["totalCount"]) == ("FAILED", 0)
        assert place.audit()["records"] == 300


async def test_paused_resumed_and_canceled(deploy: Deploy) -> None:
    """A second after a pause nothing more arrives. What was in the air at a cancel ends as sent or canceled, though the
    server defers the half of it."""
    async with SmtpSink([SLOW]) as sink, deploy(sink, riders(600), connections=3) as place:
        id = await place.begin()
        await sink.received(60)
        assert (await place.act(id, "pause")).json()["status"] == "PAUSED"
        await asyncio.sleep(1.0)
        stood = sink.taken
        assert stood < 600
        await asyncio.sleep(0.5)
        job = await place.job(id)
        assert (sink.taken, job["status"], job["sendingCount"]) == (stood, "PAUSED", 0)
        assert (await place.act(id, "resume")).json()["status"] == "PROCESSING"
        await sink.received(stood + 60)
        sink.rules.insert(0, Rule(step="RCPT", match="*[13579]@*", reply="451 4.3.0 later"))
        assert (await place.act(id, "cancel")).json()["status"] == "CANCELED"
        job = await place.over(id)
        assert (job["status"], job["totalCount"]) == ("CANCELED", 600)
        assert job["sentCount"] == sink.taken == 600 - job["canceledCount"]
        assert place.taken.most_common(1)[0][1] == 1
        assert (await place.act(id, "resume")).status_code == 409
        place.audit()


async def test_what_failed_is_listed_with_why_and_retried_exactly(tmp_path: Path) -> None:
    """Of a server that refuses some for good, and one whose mailbox is full; by the command line."""
    gone = Rule(step="RCPT", match="rider[12]@*", reply="550 5.1.1 no such rider")
    full = Rule(step="RCPT", match="rider3@*", reply="552 5.2.2 over quota")
    weary = Rule(step="RCPT", match="rider4@*", reply="451 4.3.0 later")
    async with SmtpSink([gone, full, weary]) as sink, alone(tmp_path, sink, riders(40)) as place:
        id = await place.begin()
        job = await place.over(id)
        assert (job["status"], job["sentCount"], job["failedCount"]) == ("COMPLETED", 36, 4)
        dead = {each["email"]: each for each in await place.recipients(id, status="FAILED")}
        assert dead.keys() == {rider(n) for n in (1, 2, 3, 4)}
        assert [dead[rider(n)]["category"] for n in (1, 3, 4)] == ["address", "mailbox_full", "other"]
        assert "no such rider" in dead[rider(1)]["error"] and dead[rider(4)]["attempts"] == 3
        sink.rules.clear()
        retry = ("bulk", "retry-failed", id, "--category", "mailbox_full,other")
        dry = json.loads(call(place.api, *retry, "--dry-run").stdout)
        assert (dry["totalCount"], {each["category"] for each in dry["items"]}) == (
            2,
            {"mailbox_full", "other"},
        )
        assert (await place.job(id))["failedCount"] == 4
        assert call(place.api, *retry).returncode == 0
        job = await place.over(id)
        assert (job["sentCount"], job["failedCount"]) == (38, 2)
        assert place.taken == {rider(n): 1 for n in range(40) if n not in (1, 2)}
        place.audit()


async def test_scheduled_it_waits_for_its_time_keeps_its_rate_and_ends_when_it_expires(
    tmp_path: Path,
) -> None:
    async with SmtpSink() as sink, alone(tmp_path, sink, riders(30)) as place:
        now = datetime.now(UTC)
        starts, ends = (now + timedelta(seconds=seconds) for seconds in (1.5, 3.5))
        times = {"scheduledAt": starts.isoformat(), "expiresAt": ends.isoformat()}
        id = await place.begin(**times, rate="5/s")
        job = await place.job(id)
        assert (job["status"], job["totalCount"], job["startedAt"]) == ("QUEUED", 0, None)
        job = await place.over(id)
        assert job["scheduledAt"] <= job["startedAt"] < job["completedAt"]
        assert 3 <= job["sentCount"] <= 15
        assert job["sentCount"] + job["failedCount"] == 30
        assert min(mail.at for mail in sink.mails) >= starts.timestamp()
        late = await place.recipients(id, status="FAILED")
        assert {each["category"] for each in late} == {"expired"}


async def test_watched_by_events_and_by_the_command_line(tmp_path: Path) -> None:
    """A watcher who is cut off comes again, is told where it is, and in the end that there is nothing more. None keeps the
    server from its end."""
    async with SmtpSink([SLOW]) as sink, alone(tmp_path, sink, riders(150)) as place:
        id = await place.begin()
        url, environ = f"http://127.0.0.1:{place.api.port}", place.api.environ
        command = [sys.executable, "-m", "posthouse.cli", "bulk", "watch", id, "--url", url]
        watching = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        first = await events(place, id, most=2)
        rest = await events(place, id, first[-1][0])
        jobs = [added_up(job) for _, job in first + rest]
        assert len({name for name, _ in first + rest}) == len(jobs) > 2
        assert [job["progress"] for job in jobs] == sorted(job["progress"] for job in jobs)
        assert (jobs[-1]["status"], jobs[-1]["sentCount"]) == ("COMPLETED", 150)
        assert await events(place, id, rest[-1][0]) is None
        out, _ = await asyncio.to_thread(watching.communicate, timeout=30)
        lines = [added_up(json.loads(line)) for line in out.splitlines()]
        assert (watching.returncode, lines[-1]["status"], lines[-1]["progress"]) == (0, "COMPLETED", 100)
        table = (await place.api.client.get(f"{JOBS}/{id}/recipients.csv")).text.splitlines()
        assert sorted(line.split(",")[1] for line in table[1:]) == sorted(rider(n) for n in range(150))
        later = await place.begin(scheduledAt="2100-01-01T00:00:00Z")
        async with place.api.client.stream("GET", f"{JOBS}/{later}/events") as answer:
            assert await anext(answer.aiter_lines()) == "retry: 2000"
            started = asyncio.get_running_loop().time()
            assert await place.api.stop() == 0
            assert asyncio.get_running_loop().time() - started < 6


async def events(place: Place, id: str, seen: str | None = None, most: int | None = None) -> Any:
    """The ids and campaigns of so many events, or all that there are; None where there are no more to come."""
    found: list[tuple[str, Job]] = []
    headers = {} if seen is None else {"Last-Event-ID": seen}
    async with place.api.client.stream("GET", f"{JOBS}/{id}/events", headers=headers) as answer:
        if answer.status_code == 204:
            return None
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                name = line.removeprefix("id: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
                if len(found) == most:
                    break
    return found


async def test_campaigns_share_by_fair_turns_and_a_single_mail_overtakes_them(deploy: Deploy) -> None:
    """Two that are large do not keep a small one waiting, nor a single mail: they are good for ten seconds."""
    people = [*riders(500), *riders(30, "groom", 5000)]
    async with SmtpSink([SLOW]) as sink, deploy(sink, people, connections=2) as place:
        first, second = await place.begin(), await place.begin()
        await sink.received(40)
        small = await place.begin(roleFilter="groom")
        for n in range(5):
            answered, arrived = await seconds_to_smtp(place, f"single{n}@example.org")
            assert answered < 1.5 and arrived < 3.0, (answered, arrived)
        await place.over(small)
        jobs = [await place.job(id) for id in (first, second)]
        assert all(job["pendingCount"] for job in jobs), "it waited for the large ones"
        sent = [job["sentCount"] for job in jobs]
        assert abs(sent[0] - sent[1]) < 100
        for id in (first, second):
            await place.act(id, "cancel")
            await place.over(id)
        place.audit()
