"""The producer library against a real house: nothing is doubled, however answers get lost; and its example runs."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from posthouse.client import Client, Mail, Refused, Sent, StillOpen, SyncClient, Unreached
from tests.journey.house import KEY, House, free_port, opened
from tests.pages import blocks

EXAMPLE = Path(__file__).parents[2] / "examples" / "producer" / "orders.py"
MAIL = Mail(to="Ann <ann@example.org>", subject="Horses", text="are changed here.")


def url(house: House) -> str:
    return f"http://127.0.0.1:{house.port}"


class Lossy:
    """A way to a house that loses the answers of the first `losses` requests."""

    def __init__(self, house: House, losses: int) -> None:
        self.house, self.losses, self.lost = house, losses, 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.house.port)
        onward = asyncio.create_task(self._pipe(reader, back))
        with suppress(ConnectionError):
            while data := await there.read(65536):
                if self.lost < self.losses:
                    self.lost += 1
                    break
                writer.write(data)
        onward.cancel()
        for each in (writer, back):
            each.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)


@asynccontextmanager
async def lossy(house: House, losses: int) -> AsyncIterator[tuple[Lossy, str]]:
    way = Lossy(house, losses)
    server = await asyncio.start_server(way.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield way, f"http://127.0.0.1:{port}"
    finally:
        server.close()


async def test_a_mail_is_sent_and_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, Client(url(house), KEY) as client:
        sent = await client.send(MAIL)
        record = await client.wait(sent.id, 20)
        assert (record.status, record.state, record.subject) == ("SENT", "sent", "Horses")
        assert record.recipients[0].email == "ann@example.org"
        assert [entry.event for entry in record.history] == ["accepted", "sent"]


async def test_answers_that_get_lost_double_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, lossy(house, 20) as (way, address):
        async with Client(address, KEY) as client:
            results = await client.batch(MAIL for _ in range(50))
        assert way.lost == 20
        assert all(isinstance(result, Sent) for result in results)
        assert len({result.id for result in results if isinstance(result, Sent)}) == 50
        assert len(await house.all()) == 50


async def test_a_house_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, Client(url(house), KEY) as client:
        await house.stop()
        sending = asyncio.create_task(client.send(MAIL))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        await house.start()
        assert (await client.wait((await sending).id, 20)).status == "SENT"
        assert len(await house.all()) == 1


async def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, Client(url(house), KEY) as client:
        with pytest.raises(Refused) as refused:
            await client.send(Mail(to="nobody", subject="S"))
        assert [fault.pointer for fault in refused.value.errors] == ["/body", "/to"]
        with pytest.raises(Refused, match="404"):
            await client.get("no-such-id")
        later, wrong = await client.batch([MAIL, Mail(to=[], subject="S", text="T")])
        assert isinstance(later, Sent)
        assert isinstance(wrong, Refused)
        async with Client(url(house), "not a key of this house") as stranger:
            with pytest.raises(Refused, match="401"):
                await stranger.send(MAIL)


async def test_nobody_there(tmp_path: Path) -> None:
    async with Client(f"http://127.0.0.1:{free_port()}", KEY, patience=0.5) as client:
        with pytest.raises(Unreached) as unreached:
            await client.send(MAIL)
        assert unreached.value.key


async def test_the_rate_limit_is_kept_to(tmp_path: Path) -> None:
    async with opened(tmp_path, rate_limit="5/second") as house, Client(url(house), KEY) as client:
        results = await client.batch([MAIL] * 12)
        assert [type(result) for result in results] == [Sent] * 12


async def test_without_an_event_loop(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        statuses, wrong = await asyncio.to_thread(_all_calls, url(house))
        assert statuses == ["SENT"] * 41
        assert wrong == [400, 404]
        assert len(await house.all()) == 41


def _all_calls(address: str) -> tuple[list[str], list[int]]:
    wrong: list[int] = []
    with SyncClient(address, KEY) as client:
        sent = [client.send(MAIL), *client.batch([MAIL] * 40)]
        records = [client.wait(each.id, 20) for each in sent if isinstance(each, Sent)]
        for call in (
            lambda: client.send(Mail(to="nobody", subject="S", text="T")),
            lambda: client.get("none"),
        ):
            try:
                call()
            except Refused as refused:
                wrong.append(refused.status)
    return [record.status for record in records], wrong


async def test_a_mail_that_stays_open(tmp_path: Path) -> None:
    async with opened(tmp_path, f"smtp://127.0.0.1:{free_port()}?tls=none") as house:
        async with Client(url(house), KEY) as client:
            sent = await client.send(MAIL)
            with pytest.raises(StillOpen) as still:
                await client.wait(sent.id, 0.3)
        assert still.value.state in ("pending", "sending", "deferred")


async def test_the_example_confirms_each_order_once(tmp_path: Path) -> None:
    orders = [{"id": str(n), "email": f"user{n}@example.org", "total": "12.00"} for n in range(5)]
    async with opened(tmp_path) as house:
        for _ in range(2):
            assert await _orders(house, orders) == (0, 5)
        assert len(await house.all()) == 5
        assert await _orders(house, [{"id": "x", "email": "nobody", "total": "1"}]) == (1, 0)


async def test_what_its_page_shows_runs(tmp_path: Path) -> None:
    first, *_ = [body for language, body in blocks("docs/client.md") if language == "python"]
    async with opened(tmp_path) as house:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", first),
            stdout=asyncio.subprocess.PIPE,
            env={**house.environ, "POSTHOUSE_URL": url(house), "POSTHOUSE_KEY": KEY},
        )
        told, _ = await process.communicate()
    assert (process.returncode, told) == (0, b"SENT sent\n")


async def _orders(house: House, orders: list[dict[str, str]]) -> tuple[int | None, int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**house.environ, "POSTHOUSE_URL": url(house), "POSTHOUSE_KEY": KEY},
    )
    lines = "".join(json.dumps(order) + "\n" for order in orders)
    told, _ = await process.communicate(lines.encode())
    return process.returncode, told.count(b"SENT")
