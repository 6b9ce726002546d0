"""A provider that is away while mail waits, for longer than POSTHOUSE_OUTAGE: then it is back, and all is sent.

What waits is tried by nobody, so it makes no difference how long: an hour is shortened to seconds by the settings. The limit
is the same mail found by a process that starts when the provider is there.
"""

import re
import time
import urllib.request

from benchmarks.delivery import sent
from benchmarks.figure import Figure, median
from benchmarks.load import run_load
from benchmarks.processes import House, fast_sink, folder, free_port, house, wait_until

OUTAGE = 5.0
"""Seconds of POSTHOUSE_OUTAGE; it is away for three times as long, at least."""
CONNECTIONS = 10
LIMIT_SECONDS = 600.0
PROBE = 11.0
"""Seconds in which a provider that is back is found, at most (a probe every 10 s)."""
LOOK = 0.2
"""Seconds between two looks: each costs the process time that it needs for mail."""
MEMORY = 200.0
DEAD = "smtp://127.0.0.1:9?tls=none"


def measure(rounds: int, mails: int) -> list[Figure]:
    """Mails a second once it is back, how soon that is seen, the most connections and MiB; one mail that fails ends it."""
    runs = [_round(mails) for _ in range(rounds)]
    found, rate, most, memory, limit = (median(values) for values in zip(*runs, strict=True))
    name = f"outage, {mails:,} mails waited"
    return [
        Figure(name, rate, "mails/s", limit=limit, limit_name="found by a process that starts"),
        Figure("outage, until the first is sent", found, "s", PROBE, less=True),
        Figure("outage, connections at once", most, "", CONNECTIONS + 1, less=True),
        Figure("outage, peak memory", memory, "MiB", MEMORY, less=True),
    ]


def _round(mails: int) -> tuple[float, ...]:
    port = free_port()
    there = f"smtp://127.0.0.1:{port}?tls=none&connections={CONNECTIONS}"
    with folder() as place, house(place, there, outage=f"{OUTAGE}s") as served:
        away = time.monotonic()
        run_load(served.url, mails)
        time.sleep(max(0.0, away + 3 * OUTAGE - time.monotonic()))
        with fast_sink(port):
            found, rate, most = _drained(served, mails)
        memory = served.peak_memory
    return found, rate, most, memory, _limit(mails)


def _limit(mails: int) -> float:
    with folder() as place, fast_sink() as port:
        with house(place, DEAD) as served:
            run_load(served.url, mails)
        with house(place, f"smtp://127.0.0.1:{port}?tls=none&connections={CONNECTIONS}") as served:
            return _drained(served, mails)[1]


def _drained(served: House, mails: int) -> tuple[float, float, float]:
    """Seconds until the first is sent, mails a second from there to the last, and the most connections that were seen."""
    start = time.perf_counter()
    before = wait_until(lambda: sent(served.url), "nothing was sent", LIMIT_SECONDS)
    first, most = time.perf_counter(), 0.0

    def over() -> bool:
        nonlocal most
        time.sleep(LOOK)
        most = max(most, _connections(served.url))
        return sent(served.url) >= mails

    wait_until(over, f"{mails} mails were not sent", LIMIT_SECONDS)
    return first - start, (mails - before) / (time.perf_counter() - first), most


def _connections(url: str) -> float:
    """How many the transport has."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        found = re.search(rb"^posthouse_transport_connections\{[^}]*\} (\S+)", answer.read(), re.M)
    return float(found[1]) if found else 0.0
