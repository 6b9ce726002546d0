"""Durable accepts a second: 64 kept connections post mails of 4 KiB HTML and each 202 stands for a commit on disk."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.commits import commits_per_second
from benchmarks.figure import Figure, median
from benchmarks.processes import CLEAN, KEY, announced, fast_sink, find, folder, house, slow_sink
from benchmarks.request import PATH, script

CONNECTIONS = 64
WARM_SECONDS = 1
FLOOR = 5000.0
MAILS = 20_000
DEAD = "smtp://127.0.0.1:9?tls=none"


def measure(rounds: int, seconds: int) -> list[Figure]:
    """With a worker and a fast or a slow server, without a worker, and the two limits."""
    runs = [_round(seconds) for _ in range(rounds)]
    fast, slow, alone, storeless, raw = (median(values) for values in zip(*runs, strict=True))
    route, disk = "the same without the store", "the same rows, SQLite alone"
    return [
        Figure("accept, worker sending to a fast sink", fast, "mails/s", FLOOR, storeless, route),
        Figure("accept, worker sending to a 2-s sink", slow, "mails/s", FLOOR, storeless, route),
        Figure("accept, no worker (--roles api)", alone, "mails/s", FLOOR, storeless, route),
        Figure("accept, no worker (--roles api)", alone, "mails/s", FLOOR, raw, disk),
    ]


def _round(seconds: int) -> tuple[float, ...]:
    with fast_sink() as port:
        fast = _through_house(seconds, f"smtp://127.0.0.1:{port}?tls=none")
    with slow_sink() as port:
        slow = _through_house(seconds, f"smtp://127.0.0.1:{port}?tls=none")
    with folder() as place:
        with house(place, DEAD, "--roles", "api") as served:
            alone = wrk(served.url, place, seconds)
        raw = commits_per_second(place / "posthouse.db", place / "raw.db", MAILS)
    return fast, slow, alone, storeless(seconds), raw


def _through_house(seconds: int, transport: str) -> float:
    with folder() as place, house(place, transport) as served:
        return wrk(served.url, place, seconds)


def storeless(seconds: int) -> float:
    """Requests a second of the same route with everything but the store."""
    environ = CLEAN | {"POSTHOUSE_API_KEY": KEY, "POSTHOUSE_RATE_LIMIT": "off"}
    command = [sys.executable, "-m", "benchmarks.storeless"]
    with folder() as place, announced(command, place / "log", environ) as (url, _):
        return wrk(url, place, seconds)


def wrk(url: str, place: Path, seconds: int) -> float:
    """Requests a second that were answered with 2xx; a failed one ends the benchmarks."""
    program = os.environ.get("POSTHOUSE_TEST_WRK") or find("wrk")
    command = [program, "-t1", f"-c{CONNECTIONS}", "-s", str(script(place)), url + PATH]
    subprocess.run([*command, f"-d{WARM_SECONDS}s"], stdout=subprocess.DEVNULL, check=True)
    done = subprocess.run([*command, f"-d{seconds}s"], stdout=subprocess.PIPE, text=True, check=True)
    figures = next(line.split() for line in done.stdout.splitlines() if line.startswith("figures"))
    requests, microseconds, failures = map(int, figures[1:])
    if failures:
        raise SystemExit(f"{failures} of {requests} requests failed")
    return requests / microseconds * 1e6
