"""A load generator in a process of its own: mails offered at a fixed rate, however slow the answers are.

An answer's time runs from the moment its request was due, so a server that stalls cannot hide the requests that had
to wait for it (open loop; wrk is closed: it asks again only when it was answered). Rate 0 offers all of them at once.
`python -m benchmarks.load URL --count N --rate R --connections C` prints what it saw as JSON.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections import deque
from urllib.parse import urlsplit

import uvloop

from benchmarks.processes import CLEAN, KEY
from benchmarks.request import raw

END = b"\r\n\r\n"


class Load:
    """`count` requests over connections that ask one at a time; what is due while all are busy waits in line."""

    def __init__(self, count: int, rate: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._count, self._rate = count, rate
        self._offered = self._sent = 0
        self._due: deque[float] = deque()
        self.idle: list[Asker] = []
        self.times: list[float] = []
        self.refused = 0
        self.over: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        """From now on requests become due."""
        self.began = self._loop.time()
        self._offer()

    def next_number(self) -> int:
        """Counts the requests that went out."""
        self._sent += 1
        return self._sent

    def answered(self, asker: "Asker", due: float, status: bytes) -> None:
        """One answer: its time is kept, and the connection is free."""
        self.times.append(self._loop.time() - due)
        self.refused += status != b"202"
        if len(self.times) == self._count:
            self.over.set_result(None)
        elif self._due:
            asker.ask(self._due.popleft())
        else:
            self.idle.append(asker)

    def _offer(self) -> None:
        """All that has become due by now."""
        passed = self._loop.time() - self.began
        until = min(self._count, int(passed * self._rate) + 1) if self._rate else self._count
        for number in range(self._offered, until):
            due = self.began + (number / self._rate if self._rate else 0.0)
            if self.idle:
                self.idle.pop().ask(due)
            else:
                self._due.append(due)
        self._offered = until
        if until < self._count:
            self._loop.call_later(0.001, self._offer)


class Asker(asyncio.Protocol):
    """A connection that is kept."""

    def __init__(self, load: Load, request: list[bytes]) -> None:
        self._load, self._request = load, request
        self._came = b""
        self._since = 0.0

    def ask(self, due: float) -> None:
        """Sends the request that was due then."""
        self._since = due
        self._transport.write((b"%06d" % self._load.next_number()).join(self._request))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        self._came += data
        if not self._came.endswith(END):  # a 202 has no body, so this is its end
            return
        status, self._came = self._came[9:12], b""
        self._load.answered(self, self._since, status)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.over.done():
            self._load.over.set_exception(exc or ConnectionError("the server hung up"))


async def offer(url: str, count: int, rate: float, connections: int) -> dict[str, float]:
    """Seconds in all, requests a second, and milliseconds to an answer: p50, p99, the longest."""
    place = urlsplit(url)
    load = Load(count, rate)
    loop, request = asyncio.get_running_loop(), raw(url)
    for _ in range(connections):
        _, asker = await loop.create_connection(lambda: Asker(load, request), place.hostname, place.port)
        load.idle.append(asker)
    load.start()
    await load.over
    seconds = loop.time() - load.began
    if load.refused:
        raise SystemExit(f"{load.refused} of {count} requests were not answered with 202")
    times = sorted(load.times)
    at = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    figures = {name: times[min(count - 1, int(count * share))] * 1000 for name, share in at.items()}
    return {"seconds": seconds, "per_second": count / seconds, **figures}


def run_load(url: str, count: int, *, rate: float = 0.0, connections: int = 64) -> dict[str, float]:
    """Runs it in a process of its own, to its end."""
    command = [sys.executable, "-m", "benchmarks.load", url, "--key", KEY]
    command += ["--count", str(count), "--rate", str(rate), "--connections", str(connections)]
    done = subprocess.run(command, env=CLEAN, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.load")
    parser.add_argument("url")
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: all at once")
    parser.add_argument("--connections", type=int, default=64)
    asked = parser.parse_args()
    print(json.dumps(uvloop.run(offer(asked.url, asked.count, asked.rate, asked.connections))))


if __name__ == "__main__":
    main()
