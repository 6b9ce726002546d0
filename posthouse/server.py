"""The HTTP server: uvicorn on a socket of ours, started and stopped like every other part.

A stop breaks no request: the door is shut so that a connection is either taken in or refused, and whoever is connected
already is answered once more and told to go (RFC 9112 §9.6), before what is idle is closed.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 2048
STOP_SECONDS = 10
"""Seconds that requests under way may take when the server stops."""
SHUTTING = 0.02
"""Seconds in which the loop surely takes in the connections that stand before a door that is shut."""
TURN = 0.01
"""Seconds between two looks at whether all have gone."""
SO_ATTACH_FILTER = 26
"""asm-generic/socket.h; the socket module does not name it."""
DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""A packet filter (struct sock_filter) of one instruction: BPF_RET | BPF_K, keep 0 bytes."""


class PortTaken(Exception):
    """The address cannot be listened on; the text says which and why."""


def listen_on(host: str, port: int, *, beside: bool = False) -> socket.socket:
    """A listening socket; raises PortTaken. With `beside` another Posthouse may listen there too, so that a new version
    takes connections before the old one stops, and none is refused; without it, that is said to be a mistake."""
    try:
        if not beside and port:
            _bound(host, port, shared=False).close()
        listener = _bound(host, port, shared=True)
    except OSError as error:
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}") from None
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    """Only sockets that are all shared may be bound to one address."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def shown_host(host: str) -> str:
    """A host as a URL has it."""
    return f"[{host}]" if ":" in host else host


class Server:
    """Serves `app` on `listener`. `linger` is how many seconds of a stop those have who are connected to ask once more and
    be told to go."""

    def __init__(self, app: ASGIApp, listener: socket.socket, linger: float = 0.0) -> None:
        self._app, self._listener, self._linger = app, listener, linger
        self._server = _uvicorn(self._answer)
        self._leaving = False

    async def start(self) -> None:
        """Takes connections from now on."""
        self._serving = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Takes no more connections, sends away whom it has, finishes what is under way."""
        self._leaving = True
        _turn_away(self._listener)
        await asyncio.sleep(SHUTTING)
        for server in self._server.servers:
            server.close()
        for _ in range(round(self._linger / TURN)):
            if not self._server.server_state.connections:
                break
            await asyncio.sleep(TURN)
        self._server.should_exit = True
        await self._serving

    def _answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._app(scope, receive, _parting(send) if self._leaving else send)


def _parting(send: Send) -> Send:
    """Says with the answer that it is the last one of its connection."""

    async def say(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return say


def _turn_away(listener: socket.socket) -> None:
    """From now on no connection is made on it, and those that stand before it can be accepted; what the kernel has made and
    nobody accepted would be reset when it is closed. Whoever knocks meanwhile tries again after a second and is refused.
    Where there is no such filter a few may be reset."""
    filter_ = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    program = struct.pack("@HP", 1, ctypes.addressof(filter_))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _uvicorn(app: ASGIApp) -> "uvicorn.Server":
    """Loaded where it is needed: most commands serve nothing."""
    import uvicorn

    class Quiet(uvicorn.Server):
        """Signals are the business of roles."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return Quiet(config)
