"""A real Posthouse in its own process, for the journeys: started, asked over HTTP, stopped, killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from posthouse import config
from posthouse.roles.opened import opened_store
from posthouse.store.audit import audit

KEY = "journey-key-0123456789"
READY_SECONDS = 60.0

# Short times, so that a story is told in seconds; every name is a setting of the product.
QUICK = {
    "POSTHOUSE_API_KEY": KEY,
    "POSTHOUSE_RATE_LIMIT": "off",
    "POSTHOUSE_BACKOFF": "100ms",
    "POSTHOUSE_LEASE": "4s",
    "POSTHOUSE_GRACE": "5s",
    "POSTHOUSE_HOSTNAME": "house.test",
    "POSTHOUSE_LOG": "json",
}


class House:
    """One process of Posthouse with its state in `folder`; `settings` are added to QUICK.

    `within` is a command that runs the process in other surroundings. When it is closed its store is audited, whatever
    happened to it. A story that took the store away sets `store_gone`.
    """

    def __init__(
        self,
        folder: Path,
        transport: str = "inbox:",
        arguments: Iterable[str] = ("serve",),
        environ: dict[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.folder, self.arguments = folder, list(arguments)
        self.port = free_port()
        given = {f"POSTHOUSE_{name.upper()}": value for name, value in settings.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTHOUSE_")}
        self.environ = {
            **clean,
            **QUICK,
            "POSTHOUSE_PORT": str(self.port),
            "POSTHOUSE_STATE_DIR": str(folder / "state"),
            "POSTHOUSE_STORE": f"sqlite:///{folder}/posthouse.db",
            "POSTHOUSE_TRANSPORT": transport,
            **given,
            **(environ or {}),
        }
        self.program: tuple[str, ...] = ("posthouse.cli",)
        self.within: tuple[str, ...] = ()
        self.out = folder / "out.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._was_ready = self.store_gone = False
        limits = httpx2.Limits(max_connections=64, max_keepalive_connections=64)
        self.client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=30,
            limits=limits,
            trust_env=False,
        )

    async def start(self) -> "House":
        """Starts the process and waits for its `ready` line."""
        start = self.out.stat().st_size if self.out.exists() else 0
        with self.out.open("ab") as out:
            command = [*self.within, sys.executable, "-m", *self.program, *self.arguments]
            self.process = subprocess.Popen(
                command, env=self.environ, stdout=out, stderr=subprocess.STDOUT, cwd=self.folder
            )
        await until(lambda: self._is_ready(start), READY_SECONDS, lambda: self.log)
        self._was_ready = True
        return self

    async def stop(self) -> int:
        """SIGTERM; waits for the end and answers the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 30)

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait, 30)

    async def close(self) -> None:
        """Ends whatever runs, and looks at every record that is left."""
        await self.client.aclose()
        await self.kill()
        if self._was_ready and not self.store_gone:
            await audited(self.environ, self.folder)

    @property
    def log(self) -> str:
        """All it printed so far."""
        return self.out.read_text(errors="replace")

    async def send(self, to: Any = "ann@example.org", **fields: Any) -> str:
        """Posts a mail; answers its id."""
        request = {"to": to, "subject": "Horses", "body": "are changed here.", **fields}
        request = {name: value for name, value in request.items() if value is not None}
        answer = await self.client.post("/email/send", json=request)
        assert answer.status_code == 202, answer.text
        return answer.headers["x-message-id"]

    async def send_many(self, count: int, **fields: Any) -> list[str]:
        """Posts `count` mails, 32 at a time."""
        gate = asyncio.Semaphore(32)

        async def one(number: int) -> str:
            async with gate:
                return await self.send(f"user{number}@example.org", **fields)

        return list(await asyncio.gather(*(one(number) for number in range(count))))

    async def get(self, id: str) -> dict[str, Any]:
        """The record."""
        answer = await self.client.get(f"/emails/{id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all(self) -> list[dict[str, Any]]:
        """Every item of the logs."""
        items: list[dict[str, Any]] = []
        query = "?limit=100"
        while True:
            answer = (await self.client.get(f"/email/logs{query}")).json()
            items += answer["items"]
            cursor = answer["pagination"]["next_cursor"]
            if cursor is None:
                return items
            query = f"?limit=100&cursor={cursor}"

    async def until(self, id: str, *states: str, seconds: float = 15.0) -> dict[str, Any]:
        """The record once it is in one of these states."""
        return (await self.until_all([id], *states, seconds=seconds))[0]

    async def until_all(self, ids: list[str], *states: str, seconds: float = 30.0) -> list[dict[str, Any]]:
        """The records once each is in one of these states."""
        records: list[dict[str, Any]] = []
        left = list(ids)

        async def look() -> bool:
            while left and (record := await self.get(left[0]))["state"] in states:
                records.append(record)
                left.pop(0)
            return not left

        await until(look, seconds, lambda: f"{len(left)} left, the first {self.client}\n{self.log[-3000:]}")
        return records

    def _is_ready(self, start: int) -> bool:
        assert self.process is not None
        text = self.out.read_bytes()[start:]
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{text.decode()}")
        return b"\nready" in b"\n" + text


@asynccontextmanager
async def opened(
    folder: Path, transport: str = "inbox:", environ: dict[str, str] | None = None, **settings: str
) -> AsyncIterator[House]:
    """A started house, ended at the end."""
    house = House(folder, transport, environ=environ, **settings)
    try:
        yield await house.start()
    finally:
        await house.close()


async def audited(environ: dict[str, str], folder: Path) -> None:
    """Fails if anything is wrong with the store of these settings. One that is another process's (grpc://) is audited
    there."""
    settings, _ = config.read(environ, folder)
    if settings.store.startswith("grpc"):
        return
    async with opened_store(settings, migrating=False) as store:
        seen = await audit(store)
    assert seen.wrong == 0, "\n".join(
        f"{each.id or 'the store'}: {each.fault}" for each in seen.findings[:20]
    )


async def until(condition: Callable[[], Any], seconds: float, why: Callable[[], str] = lambda: "") -> None:
    """Returns when `condition` (plain or async) is true; fails with `why` after `seconds`."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while True:
        met = condition()
        if await met if asyncio.iscoroutine(met) else met:
            return
        if loop.time() > ends:
            raise AssertionError(f"not within {seconds} s: {why()}")
        await asyncio.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
