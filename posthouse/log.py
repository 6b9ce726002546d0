"""Log lines: structured, one a line on stdout, written by a thread so that a slow reader never holds up the loop.

A line that finds LINES others waiting is dropped and counted; the count is told with the next line that gets through.
"""

import queue
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any

import msgspec
import structlog

LINES = 100_000
"""Lines that may wait to be written."""
GATHER = 0.01
"""Seconds in which the lines behind a first one gather: to wake a thread for each would cost its writer more than the line."""


class LineWriter:
    """What structlog writes to: a bounded buffer in front of `stream`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def msg(self, line: bytes | str) -> None:
        """Takes one line, without its end."""
        if self._lines.qsize() >= LINES:
            self._dropped += 1
            return
        if self._dropped:
            note = {"event": "log lines dropped", "count": self._dropped}
            self._dropped = 0
            self._lines.put(msgspec.json.encode(note))
        self._lines.put(line if isinstance(line, bytes) else line.encode())

    debug = info = warning = error = critical = exception = log = msg

    def close(self) -> None:
        """Writes what waits."""
        self._lines.put(None)
        self._thread.join(5)

    def _run(self) -> None:
        ended = False
        while not ended:
            lines = [self._lines.get()]
            time.sleep(GATHER)
            while not self._lines.empty() and len(lines) < 1000:
                lines.append(self._lines.get())
            ended = None in lines
            try:
                self._stream.write(b"".join(line + b"\n" for line in lines if line is not None))
                self._stream.flush()
            except (OSError, ValueError):
                return


def configure(style: str, level: int = 20) -> LineWriter:
    """Sends structlog's lines to stdout as JSON, or as text for people; answers what to close at the end."""
    writer = LineWriter(sys.stdout.buffer)
    structlog.configure(
        processors=[_complete, _json if style == "json" else _text],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    return writer


@contextmanager
def quiet() -> Generator[None]:
    """For commands: stdout is their answer, and they tell themselves what is wrong. Only errors are told, on stderr."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _complete(_: Any, level: str, event: Any) -> Any:
    """The level, the time, and what was raised: in one step, since a mail has a line."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(_, level, event)
    event["level"] = "error" if level == "exception" else level
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    event["timestamp"] = f"{_second(seconds)}.{rest // 1000:06}Z"
    return event


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _json(_: Any, __: str, event: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def _text(_: Any, __: str, event: Any) -> str:
    head = f"{event.pop('timestamp')} {event.pop('level'):8}{event.pop('event')}"
    trace = event.pop("exception", None)
    rest = " ".join(f"{name}={value}" for name, value in event.items() if value is not None)
    return f"{head}  {rest}" + (f"\n{trace}" if trace else "")
