"""The suppression list on a real Posthouse: who comes onto it gets nothing more, whatever is already on its way."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from bullmq import Queue

from posthouse.mail.press import press
from posthouse.mail.suppression import Suppression
from posthouse.mail.template import Source
from posthouse.proto import records_pb2 as pb
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.sink import Rule, SmtpSink
from tests.contract.records import calling
from tests.journey.campaigns import alone, rider, riders
from tests.journey.house import KEY, House, free_port, opened, until
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


async def test_whichever_way_a_mail_comes_in_whoever_is_on_the_list_gets_none(
    tmp_path: Path, redis: str
) -> None:
    """By HTTP, as a document over gRPC, as another program's job in the queue; the next one to each door is sent."""
    settings = {"grpc_port": str(free_port()), "queue": f"{redis}?queue={uuid4().hex}"}
    async with SmtpSink() as sink, opened(tmp_path, smtp(sink.port), **settings) as house:
        answer = await house.client.post("/api/emails/suppressions", json={"email": ANN})
        assert answer.json() == {"added": 1, "unchanged": 0}
        for email, state in ((ANN, "suppressed"), (BOB, "sent")):
            await house.until(await house.send(email), state)
            await by_grpc(house, email)
            await by_queue(house, email)
            await until(partial(all_are, house, email, state, 3), 20, lambda: house.log[-2000:])
        assert [mail.recipients for mail in sink.mails] == [(BOB,)] * 3


async def by_grpc(house: House, email: str) -> None:
    port = int(house.environ["POSTHOUSE_GRPC_PORT"])
    document = pb.EmailDocument(recipient=email, subject="Horses", text="are changed here")
    async with calling(port) as stub:
        reply = await stub.SaveEmail(document, metadata=(("x-api-key", KEY),))
    assert reply.created


async def by_queue(house: House, email: str) -> None:
    url, _, name = house.environ["POSTHOUSE_QUEUE"].partition("?queue=")
    queue = Queue(name, {"connection": url})
    await queue.add("send", {"to": email, "subject": "Horses", "body": "are changed here"}, {})
    await queue.close()


async def all_are(house: House, email: str, state: str, count: int) -> bool:
    items = [each for each in await house.all() if each["to"] == email]
    return [each["state"] for each in items] == [state] * count


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
    async with SmtpSink([slow]) as sink, alone(tmp_path, sink, riders(110)) as place:
        id = await place.begin()
        await until(lambda: len(sink.mails) >= 16, 20, lambda: place.logs)
        gone = {rider(n) for n in range(110)} - place.taken.keys()
        await hold_back(place.api, *gone, lane="bulk")
        within = clock() + 1.5
        await until(lambda: clock() > within, 5)
        late = place.taken.keys() & gone
        job = await place.over(id)
        assert place.taken.keys() & gone == late
        assert (job["status"], job["suppressedCount"]) == ("COMPLETED", len(gone - late))
        assert job["suppressedCount"] > 0
        (one, *_) = gone - late
        async with catalog(place.api) as store:
            assert await store.unsuppress([one], "Cy") == 1
        await until(lambda: _sent_in_bulk(place.api, one), 10, lambda: place.logs)
        assert place.audit()["records"] > 110


async def test_a_person_leaves_by_the_link_in_a_mail_while_the_campaign_goes_on(tmp_path: Path) -> None:
    """Looking changes nothing; the click that a mail program makes does; single mail in bulk is held back, too."""
    html = '<p>{{ horse }} waits.</p><p><a href="{{ unsubscribeUrl }}">No more of this</a></p>'
    settings = {"secret": "the-first-secret-of-this-very-house"}
    async with SmtpSink() as sink, alone(tmp_path, sink, riders(40), **settings) as place:
        async with catalog(place.api) as store:
            source = Source(subject="Horses", html=html)
            await store.push_template("horses", source, press(source), "Cy")
        first = await place.begin(templateId="horses", rate="20/s")
        await until(lambda: len(place.taken) > 2, 20, lambda: place.logs)
        link = link_of(sink.mails[0].data)
        (one,) = sink.mails[0].recipients
        assert link.startswith(f"http://127.0.0.1:{place.api.port}/u/")
        assert link.encode() in sink.mails[0].data.partition(b"\r\n\r\n")[2].replace(b"=\r\n", b"")
        assert len({link_of(mail.data) for mail in sink.mails}) == len(sink.mails)
        page = await place.api.client.get(link, headers={"Authorization": ""})
        assert (page.status_code, "<form" in page.text) == (200, True)
        async with catalog(place.api) as store:
            assert await store.suppressions(9) == []
        second = await place.begin(templateId="horses", rate="20/s")
        clicked = await click(place.api, link)
        assert (clicked.status_code, clicked.headers.get("location")) == (200, None)
        jobs = [await place.over(id) for id in (first, second)]
        assert [job["sentCount"] for job in jobs] == [40, 39]
        (held,) = await place.recipients(second, state="suppressed")
        assert (held["email"], held["error"]) == (one, "on the suppression list: unsubscribed")
        assert place.taken[one] == 1
        assert not await _sent_in_bulk(place.api, one)
        assert (await place.api.until(await place.api.send(one), "sent"))["status"] == "SENT"


async def test_a_link_outlives_the_secret_it_was_made_with(tmp_path: Path) -> None:
    """As long as that stands behind the new one."""
    old, new = "the-first-secret-of-this-very-house", "another-secret-of-this-very-house"
    async with SmtpSink() as sink:
        async with opened(tmp_path, smtp(sink.port), secret=old) as house:
            await house.until(await house.send(ANN, lane="bulk"), "sent")
        async with opened(tmp_path, smtp(sink.port), secret=f"{new} {old}") as house:
            assert (await click(house, link_of(sink.mails[0].data), house.port)).status_code == 200
            assert not await _sent_in_bulk(house, ANN)


def link_of(data: bytes) -> str:
    """The link in the head of a mail, which must be one of RFC 8058."""
    head = message_from_bytes(data, policy=policy.SMTP)
    assert head["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    told = re.fullmatch(r"<(https?://[^<>\s]+)>", str(head["List-Unsubscribe"]))
    assert told is not None
    return told[1]


async def click(house: House, link: str, port: int | None = None) -> httpx2.Response:
    """What a mail program posts, knowing nothing but the link; at another port if the house has moved."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        where = httpx2.URL(link).copy_with(port=port or httpx2.URL(link).port)
        return await client.post(where, data={"List-Unsubscribe": "One-Click"})


async def _sent_in_bulk(house: House, email: str) -> bool:
    """Whether a new mail for this one goes out."""
    record = await house.until(await house.send(email, lane="bulk"), "sent", "suppressed")
    return record["state"] == "sent"
