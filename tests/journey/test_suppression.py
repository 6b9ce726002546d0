"""The suppression list on a real Posthouse: who comes onto it gets nothing more, whatever is already on its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from posthouse.mail.suppression import Suppression
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.campaigns import alone, rider, riders
from tests.journey.house import House, opened, until
from tests.journey.test_delivery import smtp

ANN, BOB = "ann@example.org", "bob@example.org"


@asynccontextmanager
async def catalog(house: House) -> AsyncIterator[SqliteStore]:
    """The catalog of a house, as another process has it."""
    store = SqliteStore(house.folder / "posthouse.db")
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def hold_back(house: House, *emails: str, **more: Any) -> None:
    async with catalog(house) as store:
        entries = [Suppression(email=email, reason="unsubscribed", **more) for email in emails]
        assert await store.suppress(entries, "Cy") == len(emails)


async def test_a_mail_that_waits_for_its_next_try_is_held_back(tmp_path: Path) -> None:
    """Of its recipients only the one on the list; the other gets it."""
    later = Rule(step="RCPT", reply="451 4.3.0 later", times=2)
    async with SmtpSink([later]) as sink, opened(tmp_path, smtp(sink.port), backoff="1500ms") as house:
        id = await house.send([ANN, BOB])
        await house.until(id, "deferred")
        await hold_back(house, ANN)
        record = await house.until(id, "sent")
        assert [each["state"] for each in record["recipients"]] == ["suppressed", "sent"]
        assert "on the suppression list: unsubscribed" in record["error"]
        assert [mail.recipients for mail in sink.mails] == [(BOB,)]


async def test_a_campaign_in_flight_holds_back_whoever_comes_onto_the_list(tmp_path: Path) -> None:
    """Within a second, also what waits for a connection then. Whoever comes off again is mailed again."""
    slow, clock = Rule(step="end", delay=0.2), asyncio.get_running_loop().time
    async with SmtpSink([slow]) as sink, alone(tmp_path, sink, riders(200)) as place:
        id = await place.begin()
        await until(lambda: len(sink.mails) >= 16, 20, lambda: place.logs)
        gone = {rider(n) for n in range(200)} - place.taken.keys()
        await hold_back(place.api, *gone, lane="bulk")
        within = clock() + 1.5
        await until(lambda: clock() > within, 5)
        late = place.taken.keys() & gone
        job = await place.over(id)
        assert place.taken.keys() & gone == late
        assert (job["status"], job["suppressedCount"]) == ("COMPLETED", len(gone - late))
        assert job["suppressedCount"] > 20
        (one, *_) = gone - late
        async with catalog(place.api) as store:
            assert await store.unsuppress([one], "Cy") == 1
        await until(lambda: _sent_in_bulk(place.api, one), 10, lambda: place.logs)
        assert place.audit()["records"] > 200


async def _sent_in_bulk(house: House, email: str) -> bool:
    """Whether a new mail for this one goes out."""
    record = await house.until(await house.send(email, lane="bulk"), "sent", "suppressed")
    return record["state"] == "sent"
