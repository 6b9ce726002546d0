"""Where CPU time goes: of a process and of those that it started, each by its name."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def used_by(pid: int, name: str) -> Counter[str]:
    """Seconds of a process as `name`; of its helpers, by the last word of their module. What ended counts for whoever
    started it."""
    seconds = Counter({name: _seconds(pid)})
    for child in _children(pid):
        seconds[_module(child) or name] += _seconds(child)
    return seconds


def used_by_all(pid: int) -> float:
    """Seconds of a process and all below it, those that ended and were waited for, too."""
    return sum(used_by_all(child) for child in _children(pid)) + _seconds(pid)


def _seconds(pid: int) -> float:
    """0 of one that ended since it was seen: whoever started it has its time."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICK


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield from map(int, (task / "children").read_text().split())


def _module(pid: int) -> str | None:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index("-m") + 1].rpartition(".")[2] if "-m" in words else None
