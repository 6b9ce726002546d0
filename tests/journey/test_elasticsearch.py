"""A house whose record is in Elasticsearch, which is killed in the middle of work and started again: nothing is lost, and
what was sent twice says that it is uncertain."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, until
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import call
from tests.own_elasticsearch import Server, own_elasticsearch

pytestmark = pytest.mark.timeout(600)
MAILS = 150


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_elasticsearch() as server:
        yield server


def house(folder: Path, server: Server, index: str, transport: str) -> House:
    (folder / index).mkdir()
    store = f"elasticsearch://{server.address}/{index}"
    return House(folder / index, transport, ("serve", "--migrate"), store=store)


async def is_ready(there: House) -> bool:
    return (await there.client.get("/readyz")).status_code == 200


async def test_a_server_that_is_killed_and_started_again(tmp_path: Path, server: Server) -> None:
    async with SmtpSink([Rule(step="end", delay=0.02)]) as sink:
        there = house(tmp_path, server, "killed", smtp(sink.port, connections=2))
        try:
            await there.start()
            ids = await there.send_many(MAILS)
            await sink.received(MAILS // 3)
            await asyncio.to_thread(server.kill)
            refused = await there.client.post(
                "/email/send", json={"to": "a@example.org", "subject": "x", "body": "x"}
            )
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            await asyncio.to_thread(server.start)
            await until(lambda: is_ready(there), 30)
            assert await compare(there, sink, ids) == {"sent": MAILS}
            records = [await there.get(id) for id in ids]
            assert sink.taken <= MAILS + sum(record["uncertain"] for record in records)
        finally:
            await there.close()
        assert call(there, "audit").returncode == 0


async def test_the_document_is_what_other_programs_read(tmp_path: Path, server: Server) -> None:
    """DESIGN §6: its fields, by the id that the sender was given."""
    async with SmtpSink([Rule(step="RCPT", match="*no@*", reply="550 5.1.1 no such user")]) as sink:
        there = house(tmp_path, server, "read", smtp(sink.port))
        try:
            await there.start()
            id = await there.send(["yes@example.org", "no@example.org"], tags=["travel"])
            await there.until(id, "sent")
            async with httpx2.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"http://{server.address}/read/_doc/{id}")
        finally:
            await there.close()
        document = answer.json()["_source"]
        assert (document["eventId"], document["status"], document["state"]) == (id, "SENT", "sent")
        assert (document["recipient"], document["category"]) == ("yes@example.org, no@example.org", "travel")
        assert (document["subject"], document["attempts"], document["dueAt"]) == ("Horses", 1, None)
        assert Counter(each["state"] for each in document["recipients"]) == {"sent": 1, "failed": 1}
        assert document["history"][0]["event"] == "accepted"
        assert document["metrics"]["totalMs"] >= 0


async def test_keys_are_kept_beside_it_in_sqlite(tmp_path: Path, server: Server) -> None:
    there = house(tmp_path, server, "keys", "inbox:")
    try:
        await there.start()
        made = await asyncio.to_thread(call, there, "keys", "create", "robot", "--scope", "send")
        headers = {"Authorization": f"Bearer {json.loads(made.stdout)['key']}"}

        async def is_taken() -> bool:
            mail = {"to": "a@example.org", "subject": "x", "body": "x"}
            return (await there.client.post("/email/send", json=mail, headers=headers)).status_code == 202

        await until(is_taken, 10)
        assert (there.folder / "posthouse.db").exists()
    finally:
        await there.close()
