"""A newcomer does what the README says, in its order, and gets what it says.

`make run` is started as written, but on a port and with files of its own. Each curl block is followed by a text
block: all its lines must appear in the answer, "…" standing for anything. What only reads is repeated until it
does, since the mail goes out in the background.
"""

import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks

READY = 60.0
ANSWER = 10.0
ADDRESS = "http://127.0.0.1:8025"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where `make run` said that it is ready."""
    words = shlex.split(next(body for language, body in blocks("README.md") if "make run" in body))
    given = dict(word.split("=", 1) for word in words if "=" in word)
    process = subprocess.Popen(
        # the set-up is what got us here: `-o` keeps make from looking at it again
        ["make", "--no-print-directory", "-o", ".venv/ready", "run"],
        cwd=ROOT,
        env=_settings(tmp_path) | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield _wait_until_ready(process)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(READY)


def test_the_first_send_gives_what_the_readme_says(address: str) -> None:
    steps = [
        (language, body) for language, body in blocks("README.md") if language == "text" or "curl" in body
    ]
    asked, answered = steps[::2], steps[1::2]
    assert len(asked) == len(answered) >= 2
    for (_, command), (_, expected) in zip(asked, answered, strict=True):
        _check(command.replace(ADDRESS, address), expected, repeat=" -d " not in command)


def _settings(folder: Path) -> dict[str, str]:
    """The environment without any setting of ours but where this run keeps its files."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("POSTHOUSE_", "MAKE"))}
    store = f"sqlite:///{folder}/posthouse.db"
    return plain | {
        "POSTHOUSE_PORT": str(_free_port()),
        "POSTHOUSE_STORE": store,
        "POSTHOUSE_STATE_DIR": str(folder / "state"),
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _wait_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    lines: queue.Queue[str | None] = queue.Queue()

    def read(stream: Iterator[str]) -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, args=(process.stdout,), daemon=True).start()
    said, end = "", time.monotonic() + READY
    while (line := lines.get(timeout=max(0.0, end - time.monotonic()))) is not None:
        said += line
        if found := re.match(r"ready (http://\S+)", line):
            return found[1]
    pytest.fail(f"make run ended before it was ready:\n{said}")


def _check(command: str, expected: str, repeat: bool) -> None:
    end = time.monotonic() + ANSWER
    while missing := _missing(answer := _shell(command), expected):
        if not repeat or time.monotonic() > end:
            pytest.fail(f"{command}\ngave\n{answer}\nwithout {missing}")
        time.sleep(0.05)


def _shell(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=ANSWER)
    return done.stdout + done.stderr


def _missing(answer: str, expected: str) -> list[str]:
    patterns = {line: ".+".join(map(re.escape, line.strip().split("…"))) for line in expected.splitlines()}
    return [line for line, pattern in patterns.items() if not re.search(f"^ *{pattern}$", answer, re.M)]
