"""How long a caller waits while the mail server is slow: answers must not depend on it.

1,000 requests/s offered over 200 connections while the server takes 2 s a mail; then a burst of 200 at once.
"""

from benchmarks.figure import Figure, median
from benchmarks.load import run_load
from benchmarks.processes import folder, house, slow_sink

CONNECTIONS = 200
RATE = 1000
P99_MS = 50.0
BURST = 200
BURST_MS = 200.0
BURSTS = 5


def measure(rounds: int, seconds: int) -> list[Figure]:
    """Milliseconds from when a request was due to its answer."""
    steady: list[dict[str, float]] = []
    bursts: list[float] = []
    for _ in range(rounds):
        with (
            slow_sink() as port,
            folder() as place,
            house(place, f"smtp://127.0.0.1:{port}?tls=none") as served,
        ):
            bursts.append(
                max(run_load(served.url, BURST, connections=BURST)["max_ms"] for _ in range(BURSTS))
            )
            steady.append(run_load(served.url, RATE * seconds, rate=RATE, connections=CONNECTIONS))
    names = {"p50_ms": None, "p99_ms": P99_MS, "max_ms": None}
    return [
        *(
            Figure(
                f"answer at 1,000/s, 2-s sink, {name[:-3]}",
                median([run[name] for run in steady]),
                "ms",
                floor,
                less=True,
            )
            for name, floor in names.items()
        ),
        Figure(
            f"answer, slowest of {BURST} at once (worst of {BURSTS})",
            median(bursts),
            "ms",
            BURST_MS,
            less=True,
        ),
    ]
