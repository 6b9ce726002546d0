"""The HTTP server: uvicorn on a socket of ours, started and stopped like every other part."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 2048
STOP_SECONDS = 10
"""Seconds that requests under way may take when the server stops."""


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
    """Serves `app` on `listener`."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._server = _uvicorn(app)
        self._listener = listener

    async def start(self) -> None:
        """Takes connections from now on."""
        self._serving = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Takes no more, finishes what is under way."""
        self._server.should_exit = True
        await self._serving


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
