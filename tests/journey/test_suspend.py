"""Everything is suspended at once, for longer than every lease, and goes on: as a laptop that was shut, or a host that stood
still. At most what was in the air is unknown, and its record says so.
"""

import asyncio
import signal
from pathlib import Path

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, opened
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres_redis import Servers, deployed, servers

__all__ = ["servers"]

LEASE = "1500ms"
AWAY = 3.0
"""Seconds of the suspend: two leases."""
CONNECTIONS = 5
MAILS = 200


async def test_one_process(tmp_path: Path) -> None:
    """What is unknown is sent again."""
    async with (
        SmtpSink([Rule(step="end", delay=0.05)]) as sink,
        opened(tmp_path, smtp(sink.port, connections=CONNECTIONS), lease=LEASE) as house,
    ):
        ids = await house.send_many(MAILS)
        await sink.received(40)
        await suspend(house)
        await check(house, sink, ids, CONNECTIONS)


async def test_api_and_workers(tmp_path: Path, servers: Servers) -> None:
    """The leases run out in the store, whose clock went on; whoever wakes first finds those of the others lapsed. With
    `hold` nothing comes twice."""
    async with (
        SmtpSink([Rule(step="end", delay=0.05)]) as sink,
        deployed(
            *(tmp_path, servers, smtp(sink.port, connections=CONNECTIONS)), lease=LEASE, on_unknown="hold"
        ) as ([api], workers),
    ):
        ids = await api.send_many(MAILS)
        await sink.received(40)
        await suspend(api, *workers)
        await check(api, sink, ids, CONNECTIONS * len(workers))


async def suspend(*houses: House) -> None:
    """All of them stop, and go on some leases later."""
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for house in houses:
            assert house.process is not None
            house.process.send_signal(number)
        await asyncio.sleep(AWAY if number == signal.SIGSTOP else 0)


async def check(house: House, sink: SmtpSink, ids: list[str], most: int) -> None:
    """What is unknown is no more than `most`; nothing came twice but what was sent again because of it."""
    states = await compare(house, sink, ids)
    assert set(states) <= {"sent", "unknown"}
    records = [await house.get(id) for id in ids]
    uncertain = sum(record["uncertain"] for record in records)
    assert states["unknown"] <= uncertain <= most
    assert sink.taken <= MAILS + uncertain - states["unknown"]
