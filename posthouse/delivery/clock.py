"""The clock that leases are counted on: it runs on while the machine sleeps, and nobody sets it."""

import time


def elapsed_clock() -> float:
    """Seconds since the machine started, time in suspend included (CLOCK_BOOTTIME, where the system has it)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def wall_clock() -> int:
    """Microseconds since 1970 by this machine's clock: for moments that are told, never for what is decided."""
    return time.time_ns() // 1000
