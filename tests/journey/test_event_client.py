"""The producer library in deployment 3: documents saved by gRPC, events in a real RabbitMQ, and a worker that sends."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from posthouse.client import Attachment, Refused, Unreached
from posthouse.client.events import EmailDocument, EventClient
from posthouse.client.sync_events import SyncEventClient
from posthouse.testing.sink import SmtpSink
from tests.journey.house import KEY, House, free_port
from tests.pages import ROOT, blocks

MAIL = EmailDocument(recipient="Ann <ann@example.org>", subject="Horses", text="are changed here.")


class Place:
    """A records process, and a worker that takes events, each with a folder of its own."""

    def __init__(self, folder: Path, queue: str, sink: SmtpSink) -> None:
        self.queue, self.sink, self.port = queue, sink, free_port()
        for name in ("records", "worker"):
            (folder / name).mkdir()
        self.records = House(
            folder / "records", "inbox:", ("records",), grpc_port=str(self.port), queue=queue
        )
        store = f"grpc://127.0.0.1:{self.port}"
        transport = f"smtp://127.0.0.1:{sink.port}?tls=none"
        self.worker = House(folder / "worker", transport, ("worker",), store=store, queue=queue)

    @property
    def grpc(self) -> str:
        return f"grpc://127.0.0.1:{self.port}?key={KEY}"

    def client(self, key: str = KEY, queue: str = "", **more: float) -> EventClient:
        return EventClient(f"grpc://127.0.0.1:{self.port}?key={key}", queue or self.queue, **more)


@pytest.fixture
async def place(tmp_path: Path, rabbitmq: str) -> AsyncIterator[Place]:
    async with SmtpSink() as sink:
        made = Place(tmp_path, rabbitmq, sink)
        try:
            await made.records.start()
            await made.worker.start()
            yield made
        finally:
            await asyncio.gather(made.worker.close(), made.records.close())


async def test_documents_are_saved_published_and_sent(place: Place) -> None:
    async with place.client() as client:
        saved = await asyncio.gather(*(client.send(MAIL) for _ in range(150)))
        assert {(each.status, each.created, each.published) for each in saved} == {("PENDING", True, True)}
        assert len({each.event_id for each in saved}) == 150
        documents = [await client.wait(each.event_id, 30) for each in saved]
        assert {(each.status, each.attempts) for each in documents} == {("SENT", 1)}
        assert all(each.sent_at and each.sent_at >= each.created_at for each in documents)
    assert len(place.sink.mails) == 150


async def test_what_its_page_shows_runs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, sync = [body for language, body in blocks("docs/client.md") if language == "python"]
    names: dict[str, Any] = {}
    exec(shown, names)
    await names["confirm"](place.grpc, place.queue)
    exec(sync, names)
    await asyncio.to_thread(names["confirm_all"], place.grpc, place.queue, ["ann@example.org"])
    assert capsys.readouterr().out == "SENT\nSaved\n"


async def test_a_send_that_is_repeated_doubles_nothing(place: Place) -> None:
    named = EmailDocument(recipient="ann@example.org", subject="S", text="T", event_id="order-4711")
    async with place.client() as client:
        both = [await client.send(named), await client.send(named)]
        assert [each.created for each in both] == [True, False]
        assert (await client.wait("order-4711", 30)).status == "SENT"
        with pytest.raises(Refused, match="ALREADY_EXISTS"):
            await client.send(
                EmailDocument(recipient="eve@example.org", subject="S", text="T", event_id="order-4711")
            )
    assert len(place.sink.mails) == 1


async def test_one_that_is_wrong_stops_no_other(place: Place) -> None:
    wrong = EmailDocument(recipient="nobody", subject="S", text="T")
    async with place.client() as client:
        results = await asyncio.gather(client.send(MAIL), client.send(wrong), return_exceptions=True)
        assert isinstance(results[1], Refused)
        assert [fault.pointer for fault in results[1].errors] == ["recipient"]
        assert results[1].key
        assert not isinstance(results[0], BaseException)
        assert (await client.wait(results[0].event_id, 30)).status == "SENT"
        with pytest.raises(Refused, match="404"):
            await client.get("nobody")


async def test_each_has_an_error_of_its_own(place: Place) -> None:
    """Though they shared the call that failed."""
    async with place.client(key="not-a-key-of-this-house") as client:
        sending = (client.send(EmailDocument(**_named(f"mail-{number}"))) for number in range(3))
        refused = await asyncio.gather(*sending, return_exceptions=True)
    assert [error.key for error in refused if isinstance(error, Refused)] == ["mail-0", "mail-1", "mail-2"]


async def test_two_mails_of_one_name_at_the_same_time(place: Place) -> None:
    """One of them is saved, and the other is told."""
    async with place.client() as client:
        sending = (client.send(EmailDocument(**_named("order-1", subject=word))) for word in ("A", "B"))
        first, second = await asyncio.gather(*sending, return_exceptions=True)
        assert isinstance(second, Refused)
        assert second.status == 409
        assert not isinstance(first, BaseException)
        assert (await client.wait(first.event_id, 30)).status == "SENT"
    assert len(place.sink.mails) == 1


async def test_what_is_too_large_is_refused_at_once(place: Place) -> None:
    large = Attachment(filename="a", content=bytes(64 << 20))
    async with place.client() as client:
        with pytest.raises(Refused, match="413"):
            await client.send(EmailDocument(**_named("large"), attachments=[large]))


async def test_without_an_event_loop(place: Place) -> None:
    """Threads share what tasks share; each hears of its own mail."""

    def work() -> None:
        wrong = EmailDocument(**_named("wrong", recipient="nobody"))
        with SyncEventClient(place.grpc, place.queue) as client:
            saved, refused, *_ = client.batch([MAIL, wrong, *[MAIL] * 30])
            assert isinstance(refused, Refused)
            assert not isinstance(saved, Exception)
            assert saved.published
            assert client.wait(saved.event_id, 30).status == "SENT"
            again = client.send(EmailDocument(**_named("order-1")))
            assert client.get(again.event_id).event_id == "order-1"
            with pytest.raises(Refused, match="404"):
                client.get("nobody")
        with pytest.raises(ValueError, match=r"^records: is written"):
            SyncEventClient("grpc://", place.queue)

    await asyncio.to_thread(work)


async def test_the_example_confirms_each_order_once(place: Place) -> None:
    orders = [{"id": f"{number}", "email": f"u{number}@example.org", "total": "12.00"} for number in range(5)]
    lines = "".join(json.dumps(order) + "\n" for order in orders)
    settings = {"POSTHOUSE_RECORDS": place.grpc, "POSTHOUSE_QUEUE": place.queue}
    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "examples/producer/orders_by_event.py"],
            cwd=ROOT,
            env=place.worker.environ | settings,
            input=lines,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [f"{number}: SENT order-{number}" for number in range(5)]
    assert len(place.sink.mails) == 5


def _named(id: str, **more: str) -> Any:
    return {"event_id": id, "recipient": "ann@example.org", "subject": "S", "text": "T", **more}


async def test_without_a_broker_the_mail_is_sent_all_the_same(place: Place) -> None:
    async with place.client(queue=f"amqp://guest:guest@127.0.0.1:{free_port()}/") as client:
        saved = await client.send(MAIL)
        assert not saved.published
        assert (await client.wait(saved.event_id, 30)).status == "SENT"


async def test_records_that_come_back_are_waited_for(place: Place) -> None:
    async with place.client() as client:
        await place.records.stop()
        sending = asyncio.create_task(client.send(MAIL))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        await place.records.start()
        assert (await client.wait((await sending).event_id, 30)).status == "SENT"
    assert len(place.sink.mails) == 1


async def test_a_key_that_is_not_good(place: Place) -> None:
    async with place.client(key="not a key of this house".replace(" ", "-")) as client:
        with pytest.raises(Refused, match="401"):
            await client.send(MAIL)


async def test_nobody_there(place: Place) -> None:
    async with EventClient(f"grpc://127.0.0.1:{free_port()}?key={KEY}", place.queue, patience=0.0) as client:
        with pytest.raises(Unreached) as unreached:
            await client.send(MAIL)
        assert unreached.value.key
