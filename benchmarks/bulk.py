"""Bulk end to end: a campaign to so many contacts of a role, from the answer of send-bulk until it is COMPLETED: frozen,
made messages, rendered, sent into smtp-sink, settled. Meanwhile single mails are posted and must not wait for it.

On SQLite in one process, and on PostgreSQL and Redis with an api process and two workers. The limits: smtp-source (C, bodies
that it need not build) into the same sink; and records of that size put into the same server and written once more, by
nothing but a driver.
"""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, NamedTuple

from benchmarks.cpu import used_by, used_by_all
from benchmarks.crowd import ROLE, TEMPLATE, gather
from benchmarks.figure import Figure, median
from benchmarks.load import run_load
from benchmarks.processes import KEY, House, fast_sink, folder, house, wait_until
from benchmarks.rows import rows_per_second
from benchmarks.servers import server_process, shared
from benchmarks.smtp_client import measure_source

Place = Literal["SQLite", "PostgreSQL"]

FLOORS: dict[Place, float] = {"SQLite": 2500.0, "PostgreSQL": 5000.0}
CPU_US = 150.0
ANSWER_MS, SMTP_MS = 50.0, 500.0
MEMORY = 250.0
WORKERS = 2
SINGLE_RATE, SINGLE_CONNECTIONS = 50, 8
WORKS = ("house", "worker", "renderer", "builder")
"""The processes that render, write, send, claim and settle."""
LIMIT_SECONDS = 900.0
PAGE = 100


class Deployed(NamedTuple):
    """A Posthouse: who answers, all its processes by name, and what it keeps its mail in."""

    api: House
    processes: list[tuple[str, House]]
    store: str

    def cpu(self) -> Counter[str]:
        """Seconds by process; those of one name together."""
        seconds = sum((used_by(each.process.pid, name) for name, each in self.processes), Counter[str]())
        if self.store.startswith("postgresql"):
            seconds["PostgreSQL"] = used_by_all(server_process(self.store))
        return seconds


class Run(NamedTuple):
    """What a campaign came to: mails a second, CPU by process in µs a mail, the most MiB of any process, ms until its answer;
    of the single mails beside it, ms until the answer and until the record says SENT, the 99th of 100."""

    rate: float
    cpu: Counter[str]
    memory: float
    answer: float
    single_answer: float
    single_sent: float
    source: float
    rows: float


def measure(place: Place, rounds: int, mails: int) -> list[Figure]:
    """A campaign to so many."""
    return [*_figures(place, [_round(place, mails) for _ in range(rounds)], mails)]


def _figures(place: Place, runs: Sequence[Run], mails: int) -> Iterator[Figure]:
    def middle(name: str) -> float:
        return median([getattr(run, name) for run in runs])

    what = f"bulk, {place}: {mails:,} mails of 4 KiB"
    rate, floor = middle("rate"), FLOORS[place]
    yield Figure(what, rate, "mails/s", floor, middle("source"), "smtp-source -d, 10 sessions")
    yield Figure(what, rate, "mails/s", floor, middle("rows"), "rows put and written once more, alone")
    works = median([sum(run.cpu[name] for name in WORKS) for run in runs])
    yield Figure(f"bulk, {place}: CPU of render to settle", works, "µs/mail", CPU_US, less=True)
    for name in sorted(set().union(*(run.cpu for run in runs))):
        yield Figure(f"bulk, {place}: CPU, {name}", median([run.cpu[name] for run in runs]), "µs/mail")
    yield Figure(f"bulk, {place}: most memory of a process", middle("memory"), "MiB", MEMORY, less=True)
    yield Figure(
        f"bulk, {place}: single mail beside, answer p99", middle("single_answer"), "ms", ANSWER_MS, less=True
    )
    yield Figure(
        f"bulk, {place}: single mail beside, sent p99", middle("single_sent"), "ms", SMTP_MS, less=True
    )


def _round(place: Place, mails: int) -> Run:
    with fast_sink() as port:
        with _deployed(place, f"smtp://127.0.0.1:{port}?tls=none") as deployed:
            gather(deployed.store, mails)
            run = _send(deployed, mails)
            rows = rows_per_second(deployed.store, min(mails, 50_000))
        return run._replace(source=measure_source(port)[0], rows=rows)


@contextmanager
def _deployed(place: Place, transport: str) -> Iterator[Deployed]:
    if place == "SQLite":
        with folder() as path, house(path, transport) as served:
            yield Deployed(served, [("house", served)], f"sqlite:///{path}/posthouse.db")
        return
    with shared(transport, WORKERS) as served:
        named = [("api", served.api), *(("worker", worker) for worker in served.workers)]
        yield Deployed(served.api, named, served.store)


def _send(deployed: Deployed, mails: int) -> Run:
    url, before = deployed.api.url, deployed.cpu()
    posted = time.perf_counter()
    job = begin(url)
    began = time.perf_counter()
    seconds = mails / FLOORS["SQLite"] / 2
    single = run_load(url, int(SINGLE_RATE * seconds), rate=SINGLE_RATE, connections=SINGLE_CONNECTIONS)
    wait_until(lambda: _is_over(url, job, mails), "the campaign was not over", LIMIT_SECONDS)
    rate = mails / (time.perf_counter() - began)
    spent = deployed.cpu()
    spent.subtract(before)
    return Run(
        rate,
        Counter({name: used / mails * 1e6 for name, used in spent.items()}),
        max(each.peak_memory for _, each in deployed.processes),
        (began - posted) * 1000,
        single["p99_ms"],
        _until_sent(url),
        0.0,
        0.0,
    )


def begin(url: str) -> str:
    """Sends a campaign to all; its id."""
    request = {"templateId": TEMPLATE, "roleFilter": ROLE}
    return call(f"{url}/api/emails/send-bulk", request)["jobId"]


def _is_over(url: str, job: str, mails: int) -> bool:
    now = call(f"{url}/api/emails/jobs/{job}")
    if now["completedAt"] is not None and now["sentCount"] != mails:
        raise SystemExit(f"a campaign ended otherwise: {now}")
    return now["completedAt"] is not None


def _until_sent(url: str) -> float:
    """The 99th of 100 single mails: ms from its creation until its record said SENT."""
    waits: list[float] = []
    cursor = ""
    while True:
        page = call(f"{url}/email/logs?recipient=ann@example.net&limit={PAGE}{cursor}")
        waits += [_moment(each["sent_at"]) - _moment(each["created_at"]) for each in page["items"]]
        if page["pagination"]["next_cursor"] is None:
            break
        cursor = f"&cursor={page['pagination']['next_cursor']}"
    return sorted(waits)[int(len(waits) * 0.99)] * 1000


def _moment(shown: str) -> float:
    return datetime.fromisoformat(shown).timestamp()


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON that a route answers."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return json.load(answer)
