"""A newcomer does what the README says, in its order, and gets what it says.

What it starts is started as written, but on a port and with files of its own, and on the test's own servers. Each
curl or logs block is followed by a text block: all its lines must appear in the answer, "…" standing for anything.
What only reads is repeated until it does, since the mail goes out in the background.
"""

import os
import queue
import re
import secrets
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks

READY = 60.0
ANSWER = 40.0
ADDRESS = "http://127.0.0.1:8025"
STORE = "postgresql://posthouse@127.0.0.1:5432/posthouse"
API = ".venv/bin/posthouse serve"
INDEX = "127.0.0.1:9200/posthouse"
BROKER = "amqp://guest:guest@127.0.0.1:5672/"
RECORDS, GRPC = ".venv/bin/posthouse records", "127.0.0.1:50051"
QUEUE = "redis://127.0.0.1:6379/0?queue=email"


def test_the_first_send_gives_what_the_readme_says(tmp_path: Path) -> None:
    words = shlex.split(next(body for _, body in blocks("README.md") if "make run" in body))
    given = dict(word.split("=", 1) for word in words if "=" in word)
    place = {"POSTHOUSE_STORE": f"sqlite:///{tmp_path}/posthouse.db", "POSTHOUSE_PORT": str(_free_port())}
    # the set-up is what got us here: `-o` keeps make from looking at it again
    make = ["make", "--no-print-directory", "-o", ".venv/ready", "run"]
    with _started(make, _settings(tmp_path) | place | given) as address:
        _follow(blocks("README.md", "A first send"), {ADDRESS: address})


def test_many_processes_give_what_the_readme_says(tmp_path: Path, postgres: str, redis: str) -> None:
    (_, start), *steps = blocks("README.md", "Many processes: PostgreSQL and Redis")
    places = {STORE: postgres, QUEUE: f"{redis}?queue=readme-{secrets.token_hex(4)}"}
    places[API] = f"POSTHOUSE_PORT={_free_port()} {API}"
    assert all(each in start for each in places)
    start = _replaced(start, places)
    settings = "".join(line for line in start.splitlines(True) if line.startswith("export "))
    # Ctrl-C reaches all of them; the shell goes last
    with _started(["bash", "-ec", f"{start}trap : INT; wait || wait"], _settings(tmp_path)) as address:
        _follow(steps, {ADDRESS: address}, settings)


def test_events_give_what_the_readme_says(tmp_path: Path, elasticsearch: str, rabbitmq: str) -> None:
    (_, start), *steps = blocks("README.md", "Event-driven: gRPC, Elasticsearch and RabbitMQ")
    port = _free_port()
    places = {INDEX: elasticsearch.partition("://")[2], BROKER: rabbitmq, GRPC: f"127.0.0.1:{port}"}
    places[RECORDS] = f"POSTHOUSE_PORT={_free_port()} POSTHOUSE_GRPC_PORT={port} {RECORDS}"
    assert all(each in start for each in places)
    environ = _settings(tmp_path) | {"POSTHOUSE_CATALOG": f"sqlite:///{tmp_path}/posthouse.db"}
    line = ["bash", "-ec", f"{_replaced(start, places)}trap : INT; wait || wait"]
    with _started(line, environ):
        _follow(steps, places)


def test_a_campaign_gives_what_the_readme_says(tmp_path: Path) -> None:
    (_, files), *steps = blocks("README.md", "Bulk: a template, an audience, a campaign")
    store = f"sqlite:///{tmp_path}/posthouse.db"
    environ = {"POSTHOUSE_STORE": store, "POSTHOUSE_API_KEY": "my-first-post-house"}
    with _started(
        [".venv/bin/posthouse", "serve"],
        _settings(tmp_path) | environ | {"POSTHOUSE_PORT": str(_free_port())},
    ) as address:
        places = {ADDRESS: address, "letters": f"{tmp_path}/letters", "riders.csv": f"{tmp_path}/riders.csv"}
        before = f"export POSTHOUSE_STORE={store}\n"
        done = _shell(f"set -e\n{before}{_replaced(files, places)}echo all of it")
        assert done.endswith("all of it\n"), done
        _follow(steps, places, before)


def _follow(steps: Sequence[tuple[str, str]], places: dict[str, str], before: str = "") -> None:
    """Does each block that is followed by a text block, `before` said first; checks that the answer is that text."""
    pairs = [(command, text) for (_, command), (kind, text) in pairwise(steps) if kind == "text"]
    assert len(pairs) >= 2
    for command, expected in pairs:
        _check(before + _replaced(command, places), expected, repeat=" -d " not in command)


def _replaced(text: str, places: dict[str, str]) -> str:
    for written, real in places.items():
        text = text.replace(written, real)
    return text


@contextmanager
def _started(command: list[str], environ: dict[str, str]) -> Generator[str]:
    """Where what was started said that it is ready; all of it is ended as by Ctrl-C."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environ,
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


def _settings(folder: Path) -> dict[str, str]:
    """The environment without any setting of ours but where this run keeps its files."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("POSTHOUSE_", "MAKE"))}
    return plain | {"POSTHOUSE_STATE_DIR": str(folder / "state")}


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
    pytest.fail(f"it ended before it was ready:\n{said}")


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
