"""Build: claimed mails become bytes, under load in a process of its own (delivery.builder), so that this one's loop and
lock are left to the network.

Rules: that process is started when there is first enough to do, and again after it died; meanwhile, and for a few mails,
they are written here. The bytes are the same wherever they are written.
"""

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import cast

import msgspec
import structlog

from posthouse.delivery.builder import FRAME
from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.message import Content, Message
from posthouse.mail.outcome import Outcome

WORTH = 8
"""Mails from which on a chunk is worth the way to the other process."""
AGAIN = 10.0
"""Seconds before a process that ended by itself is started again."""
ANSWER = 30.0
"""Seconds after which a process that does not answer is ended."""

Mail = tuple[Message, Content]
Written = bytes | Outcome

_ANSWER = msgspec.msgpack.Decoder(list[Written])
_encode = msgspec.msgpack.Encoder().encode


class BuilderAway(Exception):
    """The process cannot be had now: write the mails here."""


class Builder:
    """Call `stop` in the end; it starts by itself."""

    def __init__(self) -> None:
        self._link: _Link | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def ready_for(self, count: int) -> bool:
        """Whether a chunk of so many mails should go to `build`; if only the process is missing, it is started."""
        if count < WORTH:
            return False
        if self._link is not None and not self._link.lost:
            return True
        if self._starting is None and elapsed_clock() >= self._not_before:
            self._not_before = elapsed_clock() + AGAIN
            self._starting = asyncio.create_task(self._start())
        return False

    async def build(self, mails: Sequence[Mail]) -> list[Written]:
        """What became of each, in order; raises BuilderAway."""
        if self._link is None:
            raise BuilderAway
        try:
            async with asyncio.timeout(ANSWER):
                written = await self._link.ask(_encode(mails))
        except TimeoutError:
            self._end("it did not answer")
            raise BuilderAway from None
        if len(written) != len(mails):
            raise BuilderAway
        return written

    async def stop(self) -> None:
        """Ends the process."""
        if self._starting is not None:
            await self._starting
        self._end()

    async def _start(self) -> None:
        self._end()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.to_thread(_spawn, theirs.fileno())
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            _, link = await loop.create_connection(_Link, sock=ours)
            await link.ask(_encode([]))
            self._link = link
        except (OSError, BuilderAway) as error:
            self._end(str(error) or "it ended at its start")
        finally:
            self._starting = None

    def _end(self, why: str = "") -> None:
        if why:
            structlog.get_logger("delivery").warning("builder ended", why=why)
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._link = self._process = None


class _Link(asyncio.Protocol):
    """Our end of the socket: what is asked first is answered first."""

    def __init__(self) -> None:
        self._asked: deque[asyncio.Future[list[Written]]] = deque()
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
                answer.set_result(_ANSWER.decode(memoryview(self._data)[FRAME.size : end].tobytes()))
            del self._data[:end]

    def ask(self, request: bytes) -> asyncio.Future[list[Written]]:
        answer: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        if self.lost:
            _fail(answer)
        else:
            self._asked.append(answer)
            self._transport.writelines((FRAME.pack(len(request)), request))
        return answer

    def close(self) -> None:
        self._transport.abort()


def _fail(answer: asyncio.Future[list[Written]]) -> None:
    if not answer.done():
        answer.set_exception(BuilderAway())


def _spawn(fd: int) -> subprocess.Popen[bytes]:
    """Apart from our terminal's signals: it ends when its socket closes, whatever ends us."""
    command = [sys.executable, "-m", "posthouse.delivery.builder", str(fd)]
    return subprocess.Popen(command, pass_fds=(fd,), stdin=subprocess.DEVNULL, start_new_session=True)
