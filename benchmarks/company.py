"""How much of the machine other programs took meanwhile: what shares its cores with strangers is slower for it."""

import os
import resource
import time
from pathlib import Path
from typing import NamedTuple


class Moment(NamedTuple):
    """Seconds since some start, of the clock and of CPUs: by all programs, and by us and what we started and ended."""

    clock: float
    all_cpus: float
    ours: float


def now() -> Moment:
    """To be asked when nothing runs that we started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ours = sum(each.ru_utime + each.ru_stime for each in used)
    return Moment(time.monotonic(), _busy(), ours)


def strangers(before: Moment, after: Moment) -> float:
    """Cores that others used on average (what the host took from this machine counts as theirs)."""
    cpu = (after.all_cpus - before.all_cpus) - (after.ours - before.ours)
    return max(0.0, cpu / (after.clock - before.clock))


def _busy() -> float:
    """All of /proc/stat's first line but idle and iowait; guests are in user and nice already."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
