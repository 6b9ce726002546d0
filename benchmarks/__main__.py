"""`python -m benchmarks [names…] [--quick]`: what it does, its floor, the limit of the same run, and how near it is.

A line marked ! is below its floor. Nothing fails by that: the figures are for people, who know what else ran.
"""

import argparse
import os
from collections.abc import Callable, Sequence

from benchmarks import (
    accept,
    audience,
    audit,
    bulk,
    company,
    delivery,
    events,
    kills,
    large,
    latency,
    logs,
    memory,
    mime,
    outage,
    restarts,
    shared,
    smtp_client,
)
from benchmarks.figure import Figure, header, row

Benchmark = Callable[[bool], Sequence[Figure]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    known = BENCHMARKS | LARGE
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="one short round, for development")
    asked = parser.parse_args()
    for name in set(asked.names) - set(known):
        parser.error(f"no benchmark is called {name}; there are {', '.join(known)}")
    print(header(), flush=True)
    for name in asked.names or BENCHMARKS:
        before = company.now()
        for figure in known[name](asked.quick):
            print(row(figure), flush=True)
        others = company.strangers(before, company.now())
        print(f"  ({name}: other programs took {others:.1f} of {os.cpu_count()} cores)", flush=True)


def _accept(quick: bool) -> Sequence[Figure]:
    return accept.measure(1, 3) if quick else accept.measure(3, 10)


def _latency(quick: bool) -> Sequence[Figure]:
    return latency.measure(1, 5) if quick else latency.measure(3, 20)


def _delivery(quick: bool) -> Sequence[Figure]:
    return delivery.measure(1, 5_000) if quick else delivery.measure(3, 20_000)


def _bulk(quick: bool) -> Sequence[Figure]:
    return bulk.measure("SQLite", 1, 20_000) if quick else bulk.measure("SQLite", 3, 100_000)


def _bulk_shared(quick: bool) -> Sequence[Figure]:
    return bulk.measure("PostgreSQL", 1, 20_000) if quick else bulk.measure("PostgreSQL", 3, 100_000)


def _audience(quick: bool) -> Sequence[Figure]:
    return audience.measure(1, 50_000) if quick else audience.measure(3, 1_000_000)


def _memory(quick: bool) -> Sequence[Figure]:
    return memory.measure(1, 20_000) if quick else memory.measure(3, 100_000)


def _outage(quick: bool) -> Sequence[Figure]:
    return outage.measure(1, 10_000) if quick else outage.measure(1, 100_000)


def _large(quick: bool) -> Sequence[Figure]:
    return large.measure(1, 3) if quick else large.measure(3, 10)


def _logs(quick: bool) -> Sequence[Figure]:
    return logs.measure(50_000, 100) if quick else logs.measure(1_000_000, 500)


def _audit(quick: bool) -> Sequence[Figure]:
    return audit.measure(40_000 if quick else 1_000_000)


def _logs_shared(quick: bool) -> Sequence[Figure]:
    return logs.measure_shared(20_000, 100) if quick else logs.measure_shared(1_000_000, 500)


def _shared(quick: bool) -> Sequence[Figure]:
    if quick:
        return shared.measure(1, 3, mails=5_000, waiting=10_000, scaled=1_000)
    return shared.measure(3, 10, mails=20_000, waiting=100_000, scaled=4_000)


def _kills(quick: bool) -> Sequence[Figure]:
    return kills.measure(500, 5) if quick else kills.measure(5_000, 20)


def _events(quick: bool) -> Sequence[Figure]:
    return events.measure(1, 3_000, 5, 1_000) if quick else events.measure(3, 20_000, 20, 40_000)


def _restarts(quick: bool) -> Sequence[Figure]:
    return restarts.measure(3_500 if quick else 20_000)


def _logs_large(quick: bool) -> Sequence[Figure]:
    return logs.measure(10_000_000, 500)


def _logs_shared_large(quick: bool) -> Sequence[Figure]:
    return logs.measure_shared(10_000_000, 500)


def _smtp_client(quick: bool) -> Sequence[Figure]:
    said = smtp_client.run()
    rate, source = said["mails_per_second"], said["smtp_source_mails_per_second"]
    cpu, source_cpu = said["cpu_us_per_mail"], said["smtp_source_cpu_us_per_mail"]
    return [
        Figure("SMTP client alone", rate, "mails/s", source, source, "smtp-source -d, 10 sessions"),
        Figure(
            "SMTP client alone, CPU", cpu, "µs/mail", limit=source_cpu, limit_name="smtp-source -d", less=True
        ),
    ]


def _mime(quick: bool) -> Sequence[Figure]:
    said = mime.run()
    library = said["emailmessage_us"]
    return [
        Figure(
            "MIME, 4 KiB HTML, text given",
            said["mime_given_us"],
            "µs/mail",
            60,
            library,
            "EmailMessage",
            True,
        ),
        Figure(
            "MIME, 4 KiB HTML, text derived",
            said["mime_derived_us"],
            "µs/mail",
            120,
            library,
            "EmailMessage",
            True,
        ),
    ]


BENCHMARKS: dict[str, Benchmark] = {
    "accept": _accept,
    "latency": _latency,
    "delivery": _delivery,
    "bulk": _bulk,
    "bulk_shared": _bulk_shared,
    "audience": _audience,
    "memory": _memory,
    "outage": _outage,
    "mime": _mime,
    "smtp_client": _smtp_client,
    "large": _large,
    "logs": _logs,
    "audit": _audit,
    "shared": _shared,
    "logs_shared": _logs_shared,
    "kills": _kills,
    "events": _events,
    "restarts": _restarts,
}
LARGE: dict[str, Benchmark] = {"logs_large": _logs_large, "logs_shared_large": _logs_shared_large}
"""Those that take hours and a lot of disk: only when they are named."""


if __name__ == "__main__":
    main()
