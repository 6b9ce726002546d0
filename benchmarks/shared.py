"""Deployment 2: an api process and workers on PostgreSQL and Redis, which share this machine with all that loads them.

Accept, latency, delivery, memory as for one process; how fast a mail is picked up when nothing else is to be done; and
what a second, third and fourth worker bring while the mail server is the limit.
"""

import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.accept import storeless, wrk
from benchmarks.delivery import deliver
from benchmarks.figure import Figure, median
from benchmarks.latency import CONNECTIONS, RATE
from benchmarks.load import run_load
from benchmarks.processes import CLEAN, KEY, announced, fast_sink, folder, slow_sink, wait_until
from benchmarks.request import PATH, body
from benchmarks.servers import shared
from benchmarks.smtp_client import measure_source

ACCEPT, SHARE = 5000.0, 50.0
P99_MS = 15.0
DELIVERY = 3500.0
PICK_UP_MS = 25.0
GROWTH = 50.0
MAIL_SECONDS = 0.02
"""What the slow server takes for a mail."""
POOL = 10
"""Connections of a worker, by default."""
SCALE = {1: None, 2: 1.8, 4: 3.3}
"""Workers, and how many times the mails of one they are to send."""
WARM = 2000


def measure(rounds: int, seconds: int, mails: int, waiting: int, scaled: int) -> list[Figure]:
    """`seconds` of accept and of latency, so many `mails` end to end, so many `waiting` for memory, and `scaled` for each
    worker of the last."""
    return [
        *_accept(rounds, seconds),
        *_latency(rounds, seconds),
        *_delivery(rounds, mails),
        *_pick_up(rounds),
        *_scale(rounds, scaled),
        _memory(waiting),
    ]


def _accept(rounds: int, seconds: int) -> list[Figure]:
    kept, limits = [], []
    for _ in range(rounds):
        with fast_sink() as port, folder() as place, shared(_to(port)) as house:
            kept.append(wrk(house.api.url, place, seconds))
        limits.append(storeless(seconds))
    rate, limit = median(kept), median(limits)
    name, route = "shared: accept, worker sending to a fast sink", "the same without the store"
    return [
        Figure(name, rate, "mails/s", ACCEPT, limit, route),
        Figure("shared: accept, share of that", 100 * rate / limit, "%", SHARE),
    ]


def _latency(rounds: int, seconds: int) -> list[Figure]:
    runs = []
    for _ in range(rounds):
        with slow_sink() as port, shared(_to(port)) as house:
            run_load(house.api.url, WARM)
            runs.append(run_load(house.api.url, RATE * seconds, rate=RATE, connections=CONNECTIONS))
    floors = {"p50_ms": None, "p99_ms": P99_MS, "max_ms": None}
    return [
        Figure(
            f"shared: answer at 1,000/s, 2-s sink, {name[:-3]}",
            median([run[name] for run in runs]),
            "ms",
            floor,
            less=True,
        )
        for name, floor in floors.items()
    ]


def _delivery(rounds: int, mails: int) -> list[Figure]:
    rates, sources = [], []
    for _ in range(rounds):
        with fast_sink() as port:
            with shared(_to(port)) as house:
                rates.append(deliver(house.api.url, mails))
            sources.append(measure_source(port)[0])
    name, limit = f"shared: delivery, {mails:,} mails of 4 KiB HTML", "smtp-source -d, 10 sessions"
    return [Figure(name, median(rates), "mails/s", DELIVERY, median(sources), limit)]


def _pick_up(rounds: int, mails: int = 100) -> list[Figure]:
    """From when the 202 is read to when the mail server has the mail."""
    waits: list[float] = []
    for _ in range(rounds):
        with folder() as place:
            log = place / "taken.jsonl"
            command = [sys.executable, "-m", "posthouse.testing.sink", "--log", str(log)]
            with (
                announced(command, place / "sink.log", CLEAN) as (url, _),
                shared(f"{url}?tls=none") as house,
            ):
                waits += _handed_over(house.api.url, log, mails)
    waits.sort()
    p50, p99 = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.99))
    return [
        Figure("shared: 202 to hand-over, idle, p50", p50, "ms", PICK_UP_MS, less=True),
        Figure("shared: 202 to hand-over, idle, p99", p99, "ms", less=True),
    ]


def _handed_over(url: str, log: Path, mails: int) -> list[float]:
    """Seconds of each, one mail at a time; the first one opens connections and is left out."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    waits: list[float] = []
    for number in range(mails + 1):
        connection.request("POST", PATH, body(), headers)
        answer = connection.getresponse()
        answered = time.time()
        answer.read()
        line = wait_until(lambda number=number: _line(log, number), "a mail was not handed over")
        waits.append(json.loads(line)["at"] - answered)
    connection.close()
    return waits[1:]


def _line(log: Path, number: int) -> str | None:
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return lines[number] if len(lines) > number and lines[number].endswith("\n") else None


def _scale(rounds: int, mails: int) -> list[Figure]:
    figures: list[Figure] = []
    alone = 0.0
    for workers, floor in SCALE.items():
        rate = median([_with_workers(workers, mails * workers) for _ in range(rounds)])
        limit, name = workers * POOL / MAIL_SECONDS, f"{POOL * workers} connections of 20 ms a mail"
        words = "1 worker" if workers == 1 else f"{workers} workers"
        figures.append(Figure(f"shared: {words}, sink of 20 ms", rate, "mails/s", None, limit, name))
        alone = alone or rate
        if floor is not None:
            figures.append(Figure(f"shared: {words}, times one", rate / alone, "×", floor))
    return figures


def _with_workers(workers: int, mails: int) -> float:
    with slow_sink(MAIL_SECONDS) as port, shared(_to(port), workers) as house:
        return deliver(house.api.url, mails)


def _memory(mails: int) -> Figure:
    """What the process that grew most has grown by, from when it was warm."""
    with slow_sink() as port, shared(_to(port)) as house:
        run_load(house.api.url, WARM)
        before = [each.peak_memory for each in house.processes]
        run_load(house.api.url, mails)
        grown = max(each.peak_memory - had for each, had in zip(house.processes, before, strict=True))
    return Figure(f"shared: memory, {mails:,} waiting", grown, "MiB", GROWTH, less=True)


def _to(port: int) -> str:
    return f"smtp://127.0.0.1:{port}?tls=none"
