"""Delivery end to end: mails posted as fast as they are taken, from the first request to the last record SENT.

One process accepts, keeps, builds, sends and settles them, into smtp-sink. The limit is smtp-source (C, one program
that does nothing but SMTP, of bodies it need not build) into the same sink.
"""

import json
import time
import urllib.request

from benchmarks.figure import Figure, median
from benchmarks.load import run_load
from benchmarks.processes import KEY, House, fast_sink, folder, house, wait_until
from benchmarks.smtp_client import measure_ours, measure_source

FLOOR = 2500.0
LIMIT_SECONDS = 120.0


def measure(rounds: int, mails: int) -> list[Figure]:
    """Mails a second, and how much CPU of the process each took."""
    runs = [_round(mails) for _ in range(rounds)]
    rate, cpu, source, client = (median(values) for values in zip(*runs, strict=True))
    return [
        Figure(
            f"delivery, {mails:,} mails of 4 KiB HTML",
            rate,
            "mails/s",
            FLOOR,
            source,
            "smtp-source -d, 10 sessions",
        ),
        Figure(
            f"delivery, {mails:,} mails of 4 KiB HTML",
            rate,
            "mails/s",
            FLOOR,
            client,
            "our SMTP client alone",
        ),
        Figure("delivery, CPU of the process", cpu, "µs/mail", less=True),
    ]


def _round(mails: int) -> tuple[float, ...]:
    with fast_sink() as port:
        with folder() as place, house(place, f"smtp://127.0.0.1:{port}?tls=none") as served:
            rate, cpu = _deliver(served, mails)
        source, _ = measure_source(port)
        client, _ = measure_ours(port)
    return rate, cpu, source, client


def _deliver(served: House, mails: int) -> tuple[float, float]:
    used = served.cpu_seconds
    rate = deliver(served.url, mails)
    return rate, (served.cpu_seconds - used) / mails * 1e6


def deliver(url: str, mails: int) -> float:
    """Mails a second, from the first request to the last record SENT."""
    start = time.perf_counter()
    run_load(url, mails)
    wait_until(lambda: sent(url) >= mails, f"{mails} mails were not sent", LIMIT_SECONDS)
    return mails / (time.perf_counter() - start)


def sent(url: str) -> int:
    """How many records of today are SENT; one that failed ends the benchmarks."""
    request = urllib.request.Request(f"{url}/email/logs?limit=1", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        today = json.load(answer)["today"]
    if today["failed"]:
        raise SystemExit(f"{today['failed']} mails failed")
    return today["sent"]
