"""The real processes that a benchmark needs: Posthouse, SMTP sinks, load. Each on loopback, each ended by its pid."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

KEY = "benchmark-key-0123456789"
START_SECONDS = 30.0
STOP_SECONDS = 60.0
# The settings of a developer's shell must not reach what is measured.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("POSTHOUSE_")}


class House(NamedTuple):
    """A running Posthouse: where it answers, its process and its state's folder."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def peak_memory(self) -> float:
        """The most MiB it ever had in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        return int(found[1]) / 1024 if found else float("nan")

    @property
    def cpu_seconds(self) -> float:
        """The CPU time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def folder() -> Iterator[Path]:
    """A fresh folder on a real disk: /var/tmp outlives a boot and so is never memory, as /tmp may be."""
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-", dir="/var/tmp") as path:
        yield Path(path)


@contextmanager
def house(
    folder: Path, transport: str, *arguments: str, command: str = "serve", **more: str
) -> Iterator[House]:
    """`posthouse serve`, or another role, with its state in `folder`, on SQLite, unlimited; `more` are settings by their
    names."""
    settings = {
        "PORT": "0",
        "API_KEY": KEY,
        "RATE_LIMIT": "off",
        "HOSTNAME": "bench.example",
        "STATE_DIR": str(folder / "state"),
        "STORE": f"sqlite:///{folder}/posthouse.db",
        "TRANSPORT": transport,
        "LOG": "json",
        **{name.upper(): value for name, value in more.items()},
    }
    environ = CLEAN | {f"POSTHOUSE_{name}": value for name, value in settings.items()}
    line = [sys.executable, "-m", "posthouse.cli", command, *arguments]
    with announced(line, folder / "house.log", environ) as (url, process):
        yield House(url, process, folder)


@contextmanager
def fast_sink(port: int = 0) -> Iterator[int]:
    """The port of an smtp-sink, which takes mail as fast as C can; a free one, or the one that is asked for."""
    program = find("smtp-sink")
    port = port or free_port()
    who = ["-u", "postfix"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, *who, f"127.0.0.1:{port}", "1000"])
    try:
        wait_until(lambda: _listens(port), "smtp-sink did not listen")
        yield port
    finally:
        end(process)


@contextmanager
def slow_sink(delay: float = 2.0) -> Iterator[int]:
    """The port of a server that takes `delay` seconds to answer each final dot."""
    command = [sys.executable, "-m", "posthouse.testing.sink", "--delay", str(delay)]
    with folder() as place, announced(command, place / "sink.log", CLEAN) as (url, _):
        yield int(url.rpartition(":")[2])


@contextmanager
def telling_sink(log: Path, delay: float = 0.0) -> Iterator[int]:
    """The port of a server that writes each mail it takes into `log` before it answers."""
    command = [sys.executable, "-m", "posthouse.testing.sink", "--log", str(log), "--delay", str(delay)]
    with folder() as place, announced(command, place / "sink.log", CLEAN) as (url, _):
        yield int(url.rpartition(":")[2])


@contextmanager
def announced(
    command: Sequence[str], log: Path, environ: dict[str, str]
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process that says `ready URL` once it serves: that URL, and the process. Its output goes to `log`."""
    with log.open("ab") as out:
        start = out.tell()
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=subprocess.STDOUT)

    def ready() -> re.Match[bytes] | None:
        said = log.read_bytes()[start:]
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(command)} ended:\n{said.decode(errors='replace')}")
        return re.search(rb"ready (\w+://\S+?)[\s\"]", said)

    try:
        found = wait_until(ready, f"{' '.join(command)} was not ready")
        yield found[1].decode(), process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what does not heed it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = START_SECONDS) -> T:
    """What `condition` gives once that is true; ends the benchmarks when it takes longer than `seconds`."""
    ends = time.monotonic() + seconds
    while not (met := condition()):
        if time.monotonic() > ends:
            raise SystemExit(f"{what} within {seconds:.0f} s")
        time.sleep(0.02)
    return met


def find(program: str) -> str:
    """Where a program is; Debian keeps servers where a plain user's PATH does not look."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise SystemExit(f"{program} is missing: `make bench` installs it (Debian packages postfix and wrk)")
    return path


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
