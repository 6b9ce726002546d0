"""The other end of delivery.apart: a process that answers one request after the other over a socket.

It keeps nothing and ends when the socket closes, whatever ends the worker.
"""

import contextlib
import signal
import socket
import struct
import sys
from collections.abc import Callable

import structlog

FRAME = struct.Struct("<I")
"""The length of what follows, in bytes."""


def run(answer: Callable[[bytearray], bytes]) -> None:
    """The life of such a process: its first argument is the socket that it was given."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the worker drains, and needs us meanwhile
        signal.signal(number, signal.SIG_IGN)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with socket.socket(fileno=int(sys.argv[1])) as link:
        serve(link, answer)


def serve(link: socket.socket, answer: Callable[[bytearray], bytes]) -> None:
    """Answers until the other side closes, or is gone."""
    with contextlib.suppress(ConnectionError):
        while (request := _read(link)) is not None:
            answered = answer(request)
            link.sendall(FRAME.pack(len(answered)) + answered)


def _read(link: socket.socket) -> bytearray | None:
    head = _exactly(link, FRAME.size)
    return None if head is None else _exactly(link, FRAME.unpack(head)[0])


def _exactly(link: socket.socket, size: int) -> bytearray | None:
    """So many bytes, or None where there will be no more."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        got = link.recv_into(view)
        if not got:
            return None
        view = view[got:]
    return data
