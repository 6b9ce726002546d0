"""Log lines: one a line, whole, in order; a reader that does not read holds nobody up."""

import io
import json
import subprocess
import sys
import threading

import pytest

from posthouse import log
from posthouse.log import LineWriter

LOGGED = """
import structlog
from posthouse import log
lines = log.configure({style!r})
logger = structlog.get_logger("x")
logger.info("sent", id="1", to="a***@x.example", nothing=None, kind=ValueError)
logger.debug("not told")
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("stumbled", text="two\\nlines")
lines.close()
"""


def logged(style: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", LOGGED.format(style=style)], capture_output=True, text=True, timeout=30
    )
    assert run.stderr == ""
    return run.stdout.splitlines()


def test_json() -> None:
    first, second = (json.loads(line) for line in logged("json"))
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "sent",
        "level": "info",
        "id": "1",
        "to": "a***@x.example",
        "nothing": None,
        "kind": "<class 'ValueError'>",
    }
    assert (second["level"], second["text"]) == ("error", "two\nlines")
    assert "ZeroDivisionError" in second["exception"]


def test_text() -> None:
    lines = logged("text")
    assert " info    sent  id=1 to=a***@x.example" in lines[0]
    assert "nothing" not in lines[0]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_lines_come_out_whole_and_in_order() -> None:
    stream = io.BytesIO()
    writer = LineWriter(stream)
    for number in range(5000):
        writer.msg(f"line {number}" if number % 2 else f"line {number}".encode())
    writer.close()
    assert stream.getvalue().decode().splitlines() == [f"line {number}" for number in range(5000)]


class Stuck(io.BytesIO):
    """A stream whose reader does not read until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go = threading.Event(), threading.Event()

    def write(self, data) -> int:
        self.reached.set()
        assert self.go.wait(20)
        return super().write(data)


def test_a_stuck_reader_holds_nobody_up_and_what_was_dropped_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "LINES", 10)
    stream = Stuck()
    writer = LineWriter(stream)
    writer.msg("first")
    assert stream.reached.wait(20)
    for number in range(25):
        writer.msg(f"line {number}")
    stream.go.set()
    written = _until_written(stream, b"line 9")
    assert written.splitlines() == [b"first", *(f"line {number}".encode() for number in range(10))]
    writer.msg("last")
    writer.close()
    note, last = stream.getvalue().splitlines()[-2:]
    assert json.loads(note) == {"event": "log lines dropped", "count": 15}
    assert last == b"last"


def test_a_reader_that_is_gone_ends_the_writing_quietly() -> None:
    class Gone(io.BytesIO):
        def write(self, data) -> int:
            raise BrokenPipeError

    writer = LineWriter(Gone())
    writer.msg("to nobody")
    writer.close()
    writer.msg("to nobody either")


def _until_written(stream: io.BytesIO, end: bytes) -> bytes:
    ended = threading.Event()
    for _ in range(2000):
        if stream.getvalue().rstrip().endswith(end):
            return stream.getvalue()
        ended.wait(0.01)
    raise AssertionError(stream.getvalue())
