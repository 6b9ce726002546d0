"""A process of ours beside the worker's, asked over a socket: what is asked first is answered first (frames is its end).

Rules: it is spawned, never forked; it ends with the socket, whatever ends us; it is ended when it does not answer in
time. Whatever goes wrong is Away, and then the next `start` begins anew.
"""

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import cast

import structlog

from posthouse.delivery.frames import FRAME


class Away(Exception):
    """The process ended, or cannot be had now."""


class Late(Away):
    """It did not answer in time, and was ended."""


class Apart:
    """The process that runs `module` with these `arguments`. Call `end` in the end."""

    def __init__(self, module: str, arguments: Sequence[str] = ()) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._module, self._arguments = module, arguments
        self._link: _Link | None = None

    @property
    def stands(self) -> bool:
        """Whether it can be asked."""
        return self._link is not None and not self._link.lost

    async def start(self) -> None:
        """A new process, once it has its socket; raises Away."""
        self.end()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = await asyncio.to_thread(self._spawn, theirs.fileno())
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            _, self._link = await loop.create_connection(_Link, sock=ours)
        except OSError as error:
            self.end(str(error))
            raise Away from None

    async def ask(self, request: bytes, seconds: float) -> bytes:
        """What it answers; raises Away, and Late after so many seconds."""
        if self._link is None:
            raise Away
        try:
            async with asyncio.timeout(seconds):
                return await self._link.ask(request)
        except TimeoutError:
            self.end("it did not answer")
            raise Late from None

    def end(self, why: str = "") -> None:
        """Ends it, if there is one; `why` is logged."""
        if why:
            structlog.get_logger("delivery").warning("process ended", module=self._module, why=why)
        if self._link is not None:
            self._link.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._link = self.process = None

    def _spawn(self, fd: int) -> subprocess.Popen[bytes]:
        """Apart from our terminal's signals: the worker drains, and needs it meanwhile."""
        command = [sys.executable, "-m", self._module, str(fd), *self._arguments]
        return subprocess.Popen(command, pass_fds=(fd,), stdin=subprocess.DEVNULL, start_new_session=True)


class _Link(asyncio.Protocol):
    """Our end of the socket."""

    def __init__(self) -> None:
        self._asked: deque[asyncio.Future[bytes]] = deque()
        self._data = bytearray()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        while self._asked:
            _fail(self._asked.popleft())

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= FRAME.size:
            end = FRAME.size + FRAME.unpack_from(self._data)[0]
            if len(self._data) < end:
                return
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_result(memoryview(self._data)[FRAME.size : end].tobytes())
            del self._data[:end]

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self.lost:
            _fail(answer)
        else:
            self._asked.append(answer)
            self._transport.writelines((FRAME.pack(len(request)), request))
        return answer

    def close(self) -> None:
        self._transport.abort()


def _fail(answer: asyncio.Future[bytes]) -> None:
    if not answer.done():
        answer.set_exception(Away())
