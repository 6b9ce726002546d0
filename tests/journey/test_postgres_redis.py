"""Deployment 2 as it is meant to be run: api and worker processes on PostgreSQL and Redis, each as on its own machine.

Whatever is killed, wiped or restarted: what the SMTP server took is what was accepted, once, or the record says why.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from posthouse.mail.identity import message_id
from posthouse.testing.sink import Rule, SmtpSink
from tests.cluster import own_cluster
from tests.journey.house import KEY, QUICK, House, until
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import API, call, placed, running
from tests.journey.test_webhooks import SECRET, tell
from tests.redis_server import RedisServer

SLOW = 0.02
"""Seconds that the SMTP server takes for a mail where something is to happen in the middle."""


class Servers(NamedTuple):
    """What the processes share: POSTHOUSE_STORE, and a Redis that may be emptied."""

    store: str
    redis: RedisServer


@pytest.fixture
async def servers(tmp_path: Path, postgres: str) -> AsyncGenerator[Servers]:
    (tmp_path / "redis").mkdir()
    redis = RedisServer(tmp_path / "redis")
    await redis.start()
    yield Servers(postgres, redis)
    redis.stop()


@asynccontextmanager
async def deployed(
    folder: Path, servers: Servers, transport: str, *, apis: int = 1, workers: int = 2, **settings: str
) -> AsyncGenerator[tuple[list[House], list[House]]]:
    """So many of each, started; the tables are made first."""
    queue = f"{servers.redis.url}?queue=email"

    def place(name: str, *arguments: str) -> House:
        return placed(folder, name, servers.store, transport, *arguments, queue=queue, **settings)

    first = [place(f"api-{number}", *API) for number in range(apis)]
    second = [place(f"worker-{number}", "worker") for number in range(workers)]
    assert call(first[0], "migrate").returncode == 0
    async with running(*first, *second):
        yield first, second


async def test_redis_wiped_while_ten_thousand_mails_wait(tmp_path: Path, servers: Servers) -> None:
    """The server takes nothing until Redis has forgotten all of them: then all are sent, and none twice."""
    count = 10_000
    held = Rule(step="end", delay=5.0)
    async with (
        SmtpSink([held]) as sink,
        deployed(tmp_path, servers, smtp(sink.port)) as ([api], _),
    ):
        ids = await _post(api, count)
        assert sink.taken < count / 10
        assert sum(json.loads(call(api, "status").stdout)["hints"].values()) > 0
        servers.redis.ask("FLUSHALL")
        sink.rules.clear()
        await until(lambda: sink.taken >= count, 30, lambda: f"{sink.taken} were sent")
        await until(lambda: _sent(api, count), 20)
        assert Counter(mail.message_id for mail in sink.mails) == Counter(map(_message_id, ids))


async def test_a_killed_worker_goes_on_by_its_journal(tmp_path: Path, servers: Servers) -> None:
    """Long before its lease is over; at most one mail of each of its connections is sent again, and says so."""
    async with (
        SmtpSink([Rule(step="end", delay=SLOW)]) as sink,
        deployed(tmp_path, servers, smtp(sink.port), lease="10m") as ([api], workers),
    ):
        ids = await api.send_many(300)
        await sink.received(60)
        await workers[0].kill()
        await workers[0].start()
        assert await compare(api, sink, ids) == {"sent": 300}
        assert sink.taken <= 310


async def test_a_killed_worker_that_stays_away_is_taken_over(tmp_path: Path, servers: Servers) -> None:
    """Its journal is out of reach, as with its machine: the other worker goes on when the lease is over."""
    async with (
        SmtpSink([Rule(step="end", delay=SLOW)]) as sink,
        deployed(tmp_path, servers, smtp(sink.port), lease="2s") as ([api], workers),
    ):
        ids = await api.send_many(300)
        await sink.received(60)
        await workers[0].kill()
        assert await compare(api, sink, ids) == {"sent": 300}


async def test_two_workers_share_the_work_and_send_each_mail_once(tmp_path: Path, servers: Servers) -> None:
    async with (
        SmtpSink([Rule(step="end", delay=SLOW)]) as sink,
        deployed(tmp_path, servers, smtp(sink.port, connections=3)) as ([api], _),
    ):
        ids = await api.send_many(300)
        assert await compare(api, sink, ids) == {"sent": 300}
        assert sink.taken == 300
        used = {mail.visit for mail in sink.mails}
        assert len(used) > 3, "one worker did all of it"


async def test_postgres_restarted_in_the_middle(tmp_path: Path, servers: Servers) -> None:
    """As if its machine lost power, while mail comes in and goes out: whoever is told 503 asks again."""
    with own_cluster() as cluster:
        async with (
            SmtpSink([Rule(step="end", delay=SLOW)]) as sink,
            deployed(tmp_path, Servers(cluster.url, servers.redis), smtp(sink.port)) as ([api], _),
        ):
            ids = await api.send_many(150)
            more = asyncio.gather(*(_send_at_last(api, number) for number in range(150)))
            await sink.received(60)
            await asyncio.to_thread(cluster.stop)
            await asyncio.to_thread(cluster.start)
            ids += await more
            assert await compare(api, sink, ids) == {"sent": 300}
            assert call(api, "audit").returncode == 0


async def test_a_bounce_that_is_told_later_is_in_the_record(tmp_path: Path, servers: Servers) -> None:
    async with (
        SmtpSink() as sink,
        deployed(tmp_path, servers, smtp(sink.port), apis=2, workers=1, webhook_secret=SECRET) as (apis, _),
    ):
        sent = await apis[0].until(await apis[0].send(), "sent")
        answers = [await tell(api, "bounced", "one", id=sent["id"], reason="no such user") for api in apis]
        assert [answer.status_code for answer in answers] == [204, 204]
        record = await apis[1].get(sent["id"])
        assert (record["status"], record["state"], record["error"]) == ("FAILED", "bounced", "no such user")
        assert (record["sent_at"], record["uncertain"]) == (sent["sent_at"], 0)
        assert [entry["event"] for entry in record["history"]].count("bounced") == 1
        assert call(apis[0], "audit").returncode == 0


async def test_the_rate_limit_of_a_key_holds_over_all_api_processes(tmp_path: Path, servers: Servers) -> None:
    async with deployed(tmp_path, servers, "inbox:", apis=2, workers=0, rate_limit="40/hour") as (apis, _):
        answers = [await api.client.get("/email/logs") for _ in range(40) for api in apis]
        counts = Counter(answer.status_code for answer in answers)
        # what one process has leased and not used within a second is lost, so it may be less than the quota
        assert set(counts) == {200, 429}
        assert 20 <= counts[200] <= 40
        assert all("retry-after" in each.headers for each in answers if each.status_code == 429)


async def test_a_revoked_key_is_refused_everywhere_within_about_a_second(
    tmp_path: Path, servers: Servers
) -> None:
    async with deployed(tmp_path, servers, "inbox:", apis=2, workers=0) as (apis, _):
        made = call(apis[0], "keys", "create", "shop", "--scope", "logs")
        key = made.stdout.partition('"key":"')[2].partition('"')[0]

        async def said(status: int) -> bool:
            headers = {"Authorization": f"Bearer {key}"}
            answers = [await api.client.get("/email/logs", headers=headers) for api in apis]
            return {answer.status_code for answer in answers} == {status}

        await until(lambda: said(200), 3)
        assert call(apis[1], "keys", "revoke", "shop").returncode == 0
        await until(lambda: said(401), 3)


async def test_the_rate_of_a_transport_holds_over_all_workers(tmp_path: Path, servers: Servers) -> None:
    """Sixty a second of two workers together, not of each: seen where the mail arrives."""
    async with (
        SmtpSink() as sink,
        deployed(tmp_path, servers, smtp(sink.port, rate="60/s")) as ([api], _),
    ):
        await api.send_many(360)
        await sink.received(360, 40)
        times = sorted(mail.at for mail in sink.mails)
        # the busiest three seconds: 180 and what a slice leased before them may add; without sharing, 360
        busiest = max(sum(start <= at < start + 3 for at in times) for start in times)
        assert busiest <= 260
        assert times[-1] - times[0] >= 3.5


async def _post(api: House, count: int, connections: int = 16) -> list[str]:
    """The ids of so many mails, posted over bare connections: a client library would take longer than all else."""
    mail = b'{"to": "ann@example.org", "subject": "Horses", "body": "wait."}'
    head = f"POST /email/send HTTP/1.1\r\nhost: house\r\nx-api-key: {KEY}\r\ncontent-length: {len(mail)}\r\n"
    request = f"{head}content-type: application/json\r\n\r\n".encode() + mail

    async def ask(times: int) -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        ids: list[str] = []
        for _ in range(times):
            writer.write(request)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            ids.append(answer.partition("x-message-id: ")[2].partition("\r\n")[0])
        writer.close()
        return ids

    asked = await asyncio.gather(*(ask(count // connections) for _ in range(connections)))
    return [id for ids in asked for id in ids]


async def _send_at_last(api: House, number: int) -> str:
    """The id of a mail that is asked for again, under its key, until it is accepted."""
    mail = {"to": f"late{number}@example.org", "subject": "Horses", "body": "wait."}

    headers = {"Idempotency-Key": f"late-{number}"}
    ids: list[str] = []

    async def accepted() -> bool:
        answer = await api.client.post("/email/send", json=mail, headers=headers)
        assert answer.status_code in (202, 503), answer.text
        if answer.status_code == 202:
            ids.append(answer.headers["x-message-id"])
        return bool(ids)

    await until(accepted, 30)
    return ids[0]


async def _sent(api: House, count: int) -> bool:
    today = (await api.client.get("/email/logs?limit=1")).json()["today"]
    assert today["failed"] == 0
    return today["sent"] == today["created"] == count


def _message_id(id: str) -> str:
    return message_id(id, QUICK["POSTHOUSE_HOSTNAME"])
