"""Peak memory while mail waits: a process that accepts it all with a 2-s sink, and one started on what is there."""

from benchmarks.figure import Figure, median
from benchmarks.load import run_load
from benchmarks.processes import folder, house, slow_sink

FLOOR = 200.0
DEAD = "smtp://127.0.0.1:9?tls=none"
AFTERWARDS = 3_000
"""Mails posted, at 300/s, to a process that finds the others waiting."""


def measure(rounds: int, mails: int) -> list[Figure]:
    """MiB (VmHWM)."""
    runs = [_round(mails) for _ in range(rounds)]
    grown, found, away = (median(values) for values in zip(*runs, strict=True))
    return [
        Figure(f"memory, {mails:,} waiting, 2-s sink", grown, "MiB", FLOOR, less=True),
        Figure("memory, started on these, 2-s sink", found, "MiB", FLOOR, less=True),
        Figure("memory, started on these, nobody there", away, "MiB", FLOOR, less=True),
    ]


def _round(mails: int) -> tuple[float, float, float]:
    with slow_sink() as port, folder() as place:
        slow = f"smtp://127.0.0.1:{port}?tls=none"
        with house(place, slow) as served:
            run_load(served.url, mails)
            grown = served.peak_memory
        peaks: list[float] = []
        for transport in (slow, DEAD):
            with house(place, transport) as served:
                run_load(served.url, AFTERWARDS, rate=300)
                peaks.append(served.peak_memory)
    return grown, peaks[0], peaks[1]
