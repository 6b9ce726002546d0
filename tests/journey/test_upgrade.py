"""A new version takes over under load: nothing accepted is lost, no request breaks, and with --beside no connection is even
refused."""

import asyncio
from pathlib import Path

import httpx2

from posthouse.testing.sink import SmtpSink
from tests.journey.house import KEY, House, opened, until


class Load:
    """Clients that send without pause, each mail on a connection of its own; they try again when it is refused, and only
    then: a connection that stands has to bring an answer."""

    def __init__(self, house: House) -> None:
        self._client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{house.port}",
            headers={"Authorization": f"Bearer {KEY}"},
            limits=httpx2.Limits(max_keepalive_connections=0),
            timeout=20,
            trust_env=False,
        )
        self.accepted: list[str] = []
        self.refused = 0
        self._count = 0
        self._over = False

    async def __aenter__(self) -> "Load":
        self._senders = [asyncio.create_task(self._go_on()) for _ in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._senders)
        await self._client.aclose()

    async def _go_on(self) -> None:
        while not self._over:
            self._count += 1
            await self._send(f"user{self._count}@example.org")

    async def _send(self, to: str) -> None:
        request = {"to": to, "subject": "Horses", "body": "are changed here."}
        while True:
            try:
                answer = await self._client.post("/email/send", json=request)
            except httpx2.ConnectError:
                self.refused += 1
                await asyncio.sleep(0.02)
            else:
                assert answer.status_code == 202, answer.text
                self.accepted.append(answer.headers["x-message-id"])
                return


async def check(house: House, load: Load, sink: SmtpSink) -> None:
    """Every 202 is in the store, and was delivered once."""
    assert len(set(load.accepted)) == len(load.accepted)
    await house.until_all(load.accepted, "sent", seconds=60)
    ids = [mail.message_id for mail in sink.mails]
    assert len(ids) == len(set(ids)) == len(load.accepted)


async def test_a_restart_under_load_loses_nothing(tmp_path: Path) -> None:
    async with SmtpSink() as sink, opened(tmp_path, f"smtp://127.0.0.1:{sink.port}?tls=none") as house:
        async with Load(house) as load:
            await until(lambda: len(load.accepted) > 50, 20)
            assert await house.stop() == 0
            before = len(load.accepted)
            await house.start()
            await until(lambda: len(load.accepted) > before + 50, 20)
        assert load.refused, "the port was never closed: this test shows nothing"
        await check(house, load, sink)


async def test_a_new_process_beside_the_old_one_refuses_nobody(tmp_path: Path) -> None:
    async with SmtpSink() as sink, opened(tmp_path, f"smtp://127.0.0.1:{sink.port}?tls=none") as old:
        new = House(tmp_path, arguments=("serve", "--beside"), environ=old.environ)
        new.out, new.port = tmp_path / "new.log", old.port
        try:
            async with Load(old) as load:
                await until(lambda: len(load.accepted) > 50, 20)
                await new.start()
                assert await old.stop() == 0
                before = len(load.accepted)
                await until(lambda: len(load.accepted) > before + 50, 20)
            assert load.refused == 0
            await check(old, load, sink)
        finally:
            await new.close()


async def test_two_by_mistake_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        second = House(tmp_path, environ=house.environ)
        second.out = tmp_path / "second.log"
        try:
            await second.start()
        except AssertionError:
            assert "cannot listen on" in second.log
        else:
            raise AssertionError("the second one started")
        finally:
            await second.close()
