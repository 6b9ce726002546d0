"""Deployment 3 end to end: save, publish, send, status; and SaveEmail alone at a fixed rate.

RabbitMQ, Elasticsearch (512 MiB of heap), the mail server, both roles and the producer share this machine. A round is over
when the last document, read by its id, is SENT.
"""

from benchmarks.events_place import given, opened
from benchmarks.figure import Figure, median
from benchmarks.processes import fast_sink
from benchmarks.smtp_client import measure_source

FLOORS = {"batches": 1000.0, "single": 600.0}
P99_MS = 25.0
WARM = 2_000
"""Mails before the figures of a round are taken."""


def measure(rounds: int, mails: int, seconds: int, cold: int) -> list[Figure]:
    """So many `mails` a round, and so many `seconds` of SaveEmail at the fixed rate. First come `cold` mails of which nothing
    is taken: an Elasticsearch that was just started compiles itself, and for a mail takes three times the CPU of later."""
    _round("batches", cold)
    figures: list[Figure] = []
    for manner, floor in FLOORS.items():
        rates, cpu, limits = zip(*(_round(manner, mails) for _ in range(rounds)), strict=True)
        name = f"events: {mails:,} mails, {'SaveEmails' if manner == 'batches' else 'SaveEmail'}"
        limit = "smtp-source -d, 10 sessions"
        figures += [
            Figure(name, median(rates), "mails/s", floor, median(limits), limit),
            Figure("events: CPU of records and worker", median(cpu), "µs/mail", less=True),
        ]
    return [*figures, *_paced(rounds, seconds)]


def _round(manner: str, mails: int) -> tuple[float, float, float]:
    """Mails a second, µs of CPU a mail, and what smtp-source makes."""
    with fast_sink() as port, opened(given(), port) as place:
        warm = place.produce(manner, "warm", WARM)
        place.index.wait_until_sent([f"warm-{number}" for number in range(WARM)])
        assert warm
        roles = (place.records, place.worker)
        used = sum(each.cpu_seconds for each in roles)
        began = place.produce(manner, "mail", mails)["began"]
        ended = place.index.wait_until_sent([f"mail-{number}" for number in range(mails)])
        cpu = (sum(each.cpu_seconds for each in roles) - used) / mails * 1e6
        return mails / (ended - began), cpu, measure_source(port)[0]


def _paced(rounds: int, seconds: int) -> list[Figure]:
    """How long SaveEmail takes at 200 a second, while all that is saved is sent."""
    times: dict[float, list[float]] = {0.5: [], 0.99: []}
    for _ in range(rounds):
        with fast_sink() as port, opened(given(), port) as place:
            place.produce("batches", "warm", WARM)
            count = 200 * seconds
            saved = place.produce("paced", "mail", count)["save_ms"]
            place.index.wait_until_sent([f"mail-{number}" for number in range(count)])
            for share, found in times.items():
                found.append(saved[int(len(saved) * share)])
    return [
        Figure("events: SaveEmail at 200/s, p50", median(times[0.5]), "ms", less=True),
        Figure("events: SaveEmail at 200/s, p99", median(times[0.99]), "ms", P99_MS, less=True),
    ]
