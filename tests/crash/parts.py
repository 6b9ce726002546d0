"""The parts of a deployment, each of which can be killed, started, frozen and thawed."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from posthouse.config import PREFIX
from tests.cluster import Cluster
from tests.journey.diagram import Sink
from tests.journey.house import House, until
from tests.own_elasticsearch import Server
from tests.rabbit_server import Broker
from tests.redis_server import RedisServer

ROOT = str(Path(__file__).parents[2])


class Part(Protocol):
    """One process, or those of one server."""

    async def kill(self) -> None:
        """kill -9."""
        ...

    async def start(self) -> None:
        """Again; returns when it serves."""
        ...

    async def freeze(self) -> None:
        """SIGSTOP."""
        ...

    async def thaw(self) -> None:
        """SIGCONT."""
        ...


class Role:
    """A process of Posthouse. `sets` gives its house another setting for its next start."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.environ["PYTHONPATH"] = ROOT

    def set(self, **settings: str) -> None:
        self.house.environ |= {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}

    def lay(self, point: str, nth: int, how: str) -> None:
        """Its next start is with a trap in it."""
        self.house.program = ("tests.crash.program", point, str(nth), how)
        self._plain = self.house.arguments
        role = self._plain[-1]
        self.house.arguments = ["api", "worker"] if role == "serve" else [role]

    def clear(self) -> None:
        """Its next start is a plain one."""
        if self.house.program[0] != "posthouse.cli":
            self.house.program, self.house.arguments = ("posthouse.cli",), self._plain

    async def sprung(self, how: str, seconds: float) -> None:
        """Returns when its trap has sprung."""
        assert self.house.process is not None
        wanted, process = "T" if how == "stop" else "ZX", self.house.process.pid
        await until(lambda: state_of(process) in wanted, seconds, lambda: self.house.log[-2000:])

    async def kill(self) -> None:
        await self.house.kill()

    async def start(self) -> None:
        self.clear()
        await self.house.start()

    async def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.house.process is not None
        self.house.process.send_signal(number)


class Clock:
    """The clock of a house, which may be set: by libfaketime, that Debian has. What runs through sleep runs on as it was."""

    SLEEP = b"\0clock_nanosleep\0"
    """What the library would do as well, and does wrong where the end of a sleep is a moment of another clock (as in Python)."""

    def __init__(self, house: House) -> None:
        from debian import unpack  # of scripts/services, which own_elasticsearch leads to

        self._set = house.folder / "clock"
        self.jump(0)
        (found,) = unpack("libfaketime").glob("usr/lib/*/faketime/libfaketime.so.1")
        library = house.folder / found.name
        library.write_bytes(found.read_bytes().replace(self.SLEEP, self.SLEEP.swapcase(), 1))
        house.environ |= {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._set),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """From now on it is so far off."""
        self._set.write_text(f"{seconds:+}\n")


class Served:
    """A server that runs as a process with its children, and starts on a thread of its own."""

    def __init__(self, server: Cluster | Server | Broker | Sink) -> None:
        self.server = server

    async def kill(self) -> None:
        self._signal(signal.SIGSTOP)  # so that it makes no more of them
        processes = self._signal(signal.SIGKILL)
        await until(lambda: all(map(_is_gone, processes)), 20)
        if isinstance(self.server, Cluster):
            self.server.forget()
        elif isinstance(self.server, Broker):
            self.server.stop()
        else:
            self.server.kill()

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> list[int]:
        processes = family(self.server.process)
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        return processes


class Redis(Served):
    """It starts and dies without a thread."""

    server: RedisServer

    async def kill(self) -> None:
        await self.server.kill()

    async def start(self) -> None:
        await self.server.start()


def family(process: int) -> list[int]:
    """A process and all that come from it, from whichever of its threads."""
    lists = list(Path(f"/proc/{process}/task").glob("*/children"))
    with suppress(FileNotFoundError, ProcessLookupError):
        children = [int(each) for path in lists for each in path.read_text().split()]
        return [process, *(one for child in children for one in family(child))]
    return [process]


def state_of(process: int) -> str:
    """By the letter that Linux has for it; X for one that is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _is_gone(process: int) -> bool:
    """With all of its threads: until then it has its files, and their locks."""
    threads = Path(f"/proc/{process}/task")
    return state_of(process) == "X" or (state_of(process) == "Z" and len([*threads.glob("*")]) <= 1)
