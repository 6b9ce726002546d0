"""A provider that is away for longer than any budget, while thousands of mails wait: none lost, none failed, and when it is
back no crowd before its door. `python -m benchmarks outage` tells the same story of 100,000.
"""

import asyncio
from collections import Counter
from pathlib import Path

from posthouse.delivery.breaker import FAILURES
from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, opened, until
from tests.journey.test_delivery import smtp

MAILS = 2_000
CONNECTIONS = 10
OUTAGE = 1.0
"""Seconds of POSTHOUSE_OUTAGE: after them attempts alone may fail mail."""


async def test_thousands_wait_for_a_provider_that_is_away(tmp_path: Path) -> None:
    """Of all that waits only the few that found out are tried; a worker that starts meanwhile finds out again."""
    closed = Rule(step="connect", reply="421 4.3.2 closed for an hour", drop="after")
    async with SmtpSink([closed]) as sink:
        transport = smtp(sink.port, connections=CONNECTIONS)
        async with opened(tmp_path, transport, outage=f"{OUTAGE:g}s") as house:
            ids = await house.send_many(MAILS)
            await until(lambda: "transport away" in house.log, 10)
            assert await house.stop() == 0
            await house.start()
            await until(lambda: house.log.count("transport away") == 2, 10)
            await asyncio.sleep(1.5 * OUTAGE)
            assert (sink.taken, sink.most) == (0, 1)
            sink.rules.clear()
            await until(lambda: sink.taken > 0, 15, lambda: house.log[-2000:])
            await until(lambda: _all_sent(house), 30)
            records = await house.all()
    assert {record["id"] for record in records} == set(ids)
    assert sum(record["attempts"] for record in records) <= MAILS + 2 * FAILURES
    assert Counter(mail.message_id for mail in sink.mails).most_common(1)[0][1] == 1
    assert sink.taken == MAILS
    assert sink.most <= CONNECTIONS


async def _all_sent(house: House) -> bool:
    today = (await house.client.get("/email/logs?limit=1")).json()["today"]
    assert today["failed"] == 0
    return today["sent"] == today["created"] == MAILS
