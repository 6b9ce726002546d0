"""What death does to mail: a process killed in the middle, stopped in the middle, a journal lost, and started again.

What the SMTP server really took is compared with the records: nothing lost, and doubled only what says `uncertain`.
"""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, opened, until
from tests.journey.test_delivery import smtp


async def compare(house: House, sink: SmtpSink, ids: list[str]) -> Counter[str]:
    """Waits until nothing is open; asserts the promise; answers how many ended in which state."""
    records = await house.until_all(ids, "sent", "failed", "unknown", seconds=60)
    taken = Counter(mail.message_id for mail in sink.mails)
    for record in records:
        copies = taken[record["message_id"]]
        assert copies >= 1 or record["state"] == "unknown", f"lost: {record}"
        assert copies <= 1 + record["uncertain"], f"doubled without a word: {record}"
    assert len(await house.all()) == len(ids)
    return Counter(record["state"] for record in records)


@pytest.mark.parametrize("after", [1, 40, 150])
async def test_kill_9_in_the_middle_and_start_again(tmp_path: Path, after: int) -> None:
    """Killed while the server takes 20 ms a mail. Its journal settles at once what it had said; at most one mail for
    each connection is unknown."""
    async with SmtpSink([Rule(step="end", delay=0.02)]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        ids = await house.send_many(300)
        await sink.received(after)
        await house.kill()
        await house.start()
        states = await compare(house, sink, ids)
        assert states == {"sent": 300}
        records = [await house.get(id) for id in ids]
        assert sum(record["uncertain"] for record in records) <= 10


async def test_kill_9_with_hold_doubles_nothing(tmp_path: Path) -> None:
    """What is unknown is parked and counted, and a person can settle it."""
    async with (
        SmtpSink([Rule(step="end", delay=0.05)]) as sink,
        opened(tmp_path, smtp(sink.port), on_unknown="hold") as house,
    ):
        ids = await house.send_many(100)
        await sink.received(20)
        await house.kill()
        await house.start()
        states = await compare(house, sink, ids)
        assert max(Counter(mail.message_id for mail in sink.mails).values()) == 1
        assert states["unknown"] <= 10


async def test_a_lapsed_lease_without_a_journal_is_unknown(tmp_path: Path) -> None:
    """The journal is gone with its machine: what the dead worker held ends as unknown, `worker lost`, and is sent
    again once the lease is over."""
    async with (
        SmtpSink([Rule(step="end", delay=30.0, times=1)]) as sink,
        opened(tmp_path, smtp(sink.port, connections=1), lease="2s") as house,
    ):
        id = await house.send()
        await until(lambda: any(visit.dots for visit in sink.visits), 10)
        await house.kill()
        shutil.rmtree(tmp_path / "state" / "journals")
        await house.start()
        record = await house.until(id, "sent")
        assert record["uncertain"] == 1
        assert any("worker lost" in (entry["text"] or "") for entry in record["history"])


async def test_sigterm_drains(tmp_path: Path) -> None:
    """What is in the air ends, the rest is handed back; the exit code is 0 and the next process sends the rest once."""
    async with SmtpSink([Rule(step="end", delay=0.05)]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        ids = await house.send_many(200)
        await sink.received(20)
        assert await house.stop() == 0
        taken = sink.taken
        assert taken < 200
        await house.start()
        assert await compare(house, sink, ids) == {"sent": 200}
        assert (sink.taken, max(Counter(mail.message_id for mail in sink.mails).values())) == (200, 1)
        assert not list((tmp_path / "state" / "journals").glob("*.journal")) or house.process is not None


async def test_sigterm_at_the_end_of_its_grace(tmp_path: Path) -> None:
    """A server that never answers the final dot: unknown after the grace, and exit code 0."""
    async with (
        SmtpSink([Rule(step="end", delay=60.0)]) as sink,
        opened(tmp_path, smtp(sink.port, connections=1), grace="1s", on_unknown="hold") as house,
    ):
        first = await house.send()
        await until(lambda: any(visit.dots for visit in sink.visits), 10)
        second = await house.send()
        assert await house.stop() == 0
        sink.rules.clear()
        await house.start()
        assert (await house.get(first))["state"] == "unknown"
        assert (await house.until(second, "sent"))["uncertain"] == 0


async def test_two_processes_on_one_store_send_each_mail_once(tmp_path: Path) -> None:
    """Two workers share a SQLite file: no mail is sent twice."""
    async with SmtpSink([Rule(step="end", delay=0.01)]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        other = House(tmp_path, smtp(sink.port), ["worker"])
        other.out = tmp_path / "worker.log"
        try:
            await other.start()
            ids = await house.send_many(300)
            assert await compare(house, sink, ids) == {"sent": 300}
            assert sink.taken == 300
        finally:
            await other.close()
