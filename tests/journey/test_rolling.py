"""A rolling restart of everything under load, as a deployment does it: no 5xx, no request that breaks, nothing lost.

The client is a plain one: round robin over the API's processes, connections kept, and the next process only where a
connection is refused.
"""

import asyncio
from collections import Counter
from pathlib import Path

import httpx2

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import KEY, House, free_port, until
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import placed, running
from tests.journey.test_postgres_redis import Servers, deployed, servers

__all__ = ["servers"]

SENDERS = 5
BETWEEN = 0.1
"""Seconds that a sender rests after each mail."""


class Senders:
    """They send to these houses in turn for as long as the block lasts; `accepted` are the ids. Whatever is not a 202, or
    a refused connection, ends the test."""

    def __init__(self, houses: list[House]) -> None:
        self._clients = [
            httpx2.AsyncClient(
                base_url=f"http://127.0.0.1:{house.port}",
                headers={"Authorization": f"Bearer {KEY}"},
                timeout=20,
                trust_env=False,
            )
            for house in houses
        ]
        self.accepted: list[str] = []
        self.refused = 0
        self._count = 0
        self._over = False

    async def __aenter__(self) -> "Senders":
        self._tasks = [asyncio.create_task(self._go_on()) for _ in range(SENDERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)
        for client in self._clients:
            await client.aclose()

    async def go_on(self, more: int) -> None:
        """Returns when so many more were accepted; raises what stopped a sender."""
        enough = len(self.accepted) + more
        await until(lambda: len(self.accepted) >= enough or any(t.done() for t in self._tasks), 30)
        for task in self._tasks:
            if task.done():
                task.result()

    async def _go_on(self) -> None:
        while not self._over:
            self._count += 1
            await self._send(self._count)
            await asyncio.sleep(BETWEEN)

    async def _send(self, number: int) -> None:
        request = {"to": f"user{number}@example.org", "subject": "Horses", "body": "are changed here."}
        for turn in range(number, number + 50):
            try:
                answer = await self._clients[turn % len(self._clients)].post("/email/send", json=request)
            except httpx2.ConnectError:
                self.refused += 1
                continue
            assert answer.status_code == 202, answer.text
            self.accepted.append(answer.headers["x-message-id"])
            return
        raise AssertionError("no process takes a connection")


async def test_a_rolling_restart_of_everything(tmp_path: Path, servers: Servers) -> None:
    """One process of the API after the other, and with the second the one that works and keeps records, while mail comes and
    goes."""
    queue = f"{servers.redis.url}?queue=email"
    async with (
        SmtpSink([Rule(step="end", delay=0.02)]) as sink,
        deployed(tmp_path, servers, smtp(sink.port), apis=2, workers=0, grace="25s") as (apis, _),
    ):
        others = placed(
            *(tmp_path, "others", servers.store, smtp(sink.port), "serve", "--roles", "worker,records"),
            queue=queue,
            grpc_port=str(free_port()),
        )
        async with running(others):
            async with Senders(apis) as senders:
                for parts in ([apis[0]], [apis[1], others]):
                    await senders.go_on(25)
                    assert set(await asyncio.gather(*(part.stop() for part in parts))) == {0}
                    await senders.go_on(25)
                    await asyncio.gather(*(part.start() for part in parts))
                await senders.go_on(25)
            assert senders.refused, "no port was ever closed: this test shows nothing"
            assert await compare(apis[0], sink, senders.accepted) == {"sent": len(senders.accepted)}
        assert Counter(mail.message_id for mail in sink.mails).most_common(1)[0][1] == 1
