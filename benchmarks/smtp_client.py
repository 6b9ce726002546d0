"""The SMTP client alone against `smtp-source -d` (C, Postfix): 20,000 mails of 4 KiB on 10 connections to one sink.

Both in turn, into the same `smtp-sink`, three times; medians. Needs Debian's package postfix for the two programs.
`python benchmarks/smtp_client.py` prints mails a second of both, their ratio, and our CPU time for a mail.
"""

import asyncio
import json
import resource
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop

from posthouse.mail.message import Lane
from posthouse.mail.outcome import Outcome
from posthouse.transport.smtp import open_smtp

MAILS = 20_000
SIZE = 4096
CONNECTIONS = 10
ROUNDS = 3
AHEAD = 400


class Plain:
    """The least that an envelope can be: it counts."""

    lane: Lane = "transactional"
    sender = "a@example.com"
    recipients = ("b@example.com",)

    def __init__(self, number: int, data: bytes, tell: "Tally") -> None:
        self.id, self.data, self._tell = str(number), data, tell

    def begin(self, replies: Sequence[Outcome | None]) -> bool:
        return True

    def done(self, outcomes: Sequence[Outcome]) -> None:
        self._tell.done(outcomes[0].result == "accepted")


class Tally:
    """Keeps the pool fed with at most AHEAD mails, as a worker does."""

    def __init__(self, transport, data: bytes, mails: int) -> None:
        self.transport, self.data, self.left = transport, data, mails
        self.open = self.accepted = 0
        self.over = asyncio.get_running_loop().create_future()

    def feed(self) -> None:
        batch = [Plain(self.left - i, self.data, self) for i in range(min(AHEAD - self.open, self.left))]
        self.left -= len(batch)
        self.open += len(batch)
        self.transport.send(batch)

    def done(self, accepted: bool) -> None:
        self.open -= 1
        self.accepted += accepted
        if not self.left and not self.open:
            self.over.set_result(None)
        elif self.left and self.open <= AHEAD // 2:
            self.feed()


async def ours(port: int) -> None:
    transport = open_smtp(f"smtp://127.0.0.1:{port}?tls=none&connections={CONNECTIONS}", "bench.example")
    await transport.start()
    line = b"x" * 76 + b"\r\n"
    tally = Tally(transport, (line * (SIZE // len(line) + 1))[: SIZE - 2] + b"\r\n", MAILS)
    tally.feed()
    await tally.over
    await transport.stop()
    if tally.accepted != MAILS:
        raise SystemExit(f"only {tally.accepted} of {MAILS} mails were accepted")


def measure_ours(port: int) -> tuple[float, float]:
    """Mails a second, and microseconds of our CPU a mail."""
    used, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    uvloop.run(ours(port))
    seconds = time.perf_counter() - start
    now = resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return MAILS / seconds, cpu / MAILS * 1e6


def measure_source(port: int) -> tuple[float, float]:
    """The same of smtp-source."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    options = ["-d", "-s", str(CONNECTIONS), "-l", str(SIZE), "-m", str(MAILS)]
    subprocess.run([_program("smtp-source"), *options, f"127.0.0.1:{port}"], check=True)
    seconds = time.perf_counter() - start
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
    return MAILS / seconds, cpu / MAILS * 1e6


@contextmanager
def sink() -> Iterator[int]:
    """A running smtp-sink's port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([_program("smtp-sink"), "-u", "postfix", f"127.0.0.1:{port}", "1000"])
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/lib/postfix/sbin")
    if path is None:
        raise SystemExit(f"{name} is missing: it comes with Debian's package postfix")
    return path


def run() -> dict[str, float]:
    """Medians of ROUNDS: mails a second of both, the ratio, CPU microseconds a mail of both."""
    our, source = [], []
    with sink() as port:
        for _ in range(ROUNDS):
            source.append(measure_source(port))
            our.append(measure_ours(port))
    rates = [statistics.median(rate for rate, _ in runs) for runs in (our, source)]
    costs = [statistics.median(cost for _, cost in runs) for runs in (our, source)]
    return {
        "mails_per_second": round(rates[0]),
        "smtp_source_mails_per_second": round(rates[1]),
        "ratio": round(rates[0] / rates[1], 2),
        "cpu_us_per_mail": round(costs[0], 1),
        "smtp_source_cpu_us_per_mail": round(costs[1], 1),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
