"""wrk, the load generator of the benchmarks: a program and no server; its address is its path."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service import Service, find


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Gives the path of the program."""
    yield find("wrk") or ""


SERVICE = Service("wrk", "POSTHOUSE_TEST_WRK", programs=("wrk",), packages=("wrk",), running=running)
