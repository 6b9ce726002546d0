"""The way to the records role: calls with a deadline, answers or StoreAway.

A channel of grpc.aio is at home in one event loop, and a process has best only one such loop. So calls from any other
loop (a worker renews its leases from a thread of its own) go over a synchronous channel, on a thread.

A call waits for a connection rather than fail, so that a restart of the other side is not felt; DEADLINE bounds it.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import grpc.aio

from posthouse.mail.errors import StoreAway
from posthouse.store.base import StoreUnfit, UnknownCursor
from posthouse.store.remote.address import Address
from posthouse.store.wire import SERVICE

DEADLINE = 4.5
"""Seconds that a call may take: within 5 a store has answered or is away."""
LONG = 600.0
"""Seconds that a look at everything may take; a connection that died meanwhile is found out by its keepalive."""
STOP_SECONDS = 5.0

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
_LOCKED_OUT = {
    grpc.StatusCode.UNAUTHENTICATED: "does not take our API key",
    grpc.StatusCode.PERMISSION_DENIED: "wants an API key with the scope admin",
}
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class RecordsFailed(Exception):
    """The records role answered, but with a failure of its own: it was this very call's fault."""


class Line:
    """To the records role at an address; see the module."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._metadata = (("x-api-key", address.key),)
        self._lock = threading.Lock()
        self._apart: Any = None
        self._channel: Any = None
        self._met = False

    async def start(self, method: str) -> bytes:
        """The answer to a first question. To be called in the loop that most calls come from."""
        self._home = asyncio.get_running_loop()
        self._channel = _open(grpc.aio, self._address)
        answer = await self.ask(method, b"")
        self._met = True
        return answer

    async def stop(self) -> None:
        """Waits for what was asked."""
        await self._channel.close(STOP_SECONDS)
        if self._apart is not None:
            self._apart.close()

    async def ask(self, method: str, request: bytes) -> bytes:
        """Its answer. Raises StoreAway, StoreUnfit, UnknownCursor and RecordsFailed."""
        with self._failures():
            if asyncio.get_running_loop() is self._home:
                call = self._channel.unary_unary(_path(method))
                return await call(request, timeout=DEADLINE, metadata=self._metadata, wait_for_ready=True)
            return await asyncio.to_thread(self._ask_apart, method, request)

    @asynccontextmanager
    async def conversation(self, method: str) -> AsyncGenerator[Any]:
        """A stream of questions and answers, for as long as the context: `write` one, `read` the other."""
        stream = self._channel.stream_stream(_path(method))(metadata=self._metadata, wait_for_ready=False)
        try:
            yield stream
        finally:
            stream.cancel()

    async def exchange(self, stream: Any, question: bytes, seconds: float = DEADLINE) -> bytes:
        """One answer of a conversation, within so many seconds."""
        with self._failures():
            async with asyncio.timeout(seconds):
                try:
                    await stream.write(question)
                except grpc.RpcError:  # the stream is over; grpc itself only says INTERNAL
                    raise self._failed(grpc.StatusCode.UNAVAILABLE, "") from None
                answer = await stream.read()
            if answer is grpc.aio.EOF:
                raise self._failed(await stream.code(), await stream.details())
            return answer

    async def hear(self, method: str) -> AsyncIterator[bytes]:
        """What the other side tells, until the connection ends (StoreAway)."""
        with self._failures():
            stream = self._channel.unary_stream(_path(method))(b"", metadata=self._metadata)
            try:
                async for told in stream:
                    yield told
            finally:
                stream.cancel()

    def _ask_apart(self, method: str, request: bytes) -> bytes:
        with self._lock:
            channel = self._apart = self._apart or _open(grpc, self._address)
        call = channel.unary_unary(_path(method))
        return call(request, timeout=DEADLINE, metadata=self._metadata, wait_for_ready=True)

    @contextmanager
    def _failures(self) -> Generator[None]:
        try:
            yield
        except (TimeoutError, asyncio.InvalidStateError):  # of a stream that is over
            raise self._failed(grpc.StatusCode.DEADLINE_EXCEEDED, "") from None
        except grpc.RpcError as error:
            told: Any = error
            raise self._failed(told.code(), told.details()) from None

    def _failed(self, code: grpc.StatusCode, details: str | None) -> Exception:
        where = f"the records role at {self._address.target}"
        if code in _AWAY:
            return StoreAway(f"{where} does not answer")
        if code in _LOCKED_OUT:  # later on, a key may be given back: what is under way is kept until then
            return (StoreAway if self._met else StoreUnfit)(f"{where} {_LOCKED_OUT[code]}")
        if code == grpc.StatusCode.OUT_OF_RANGE:
            return UnknownCursor()
        if code == grpc.StatusCode.FAILED_PRECONDITION:
            return StoreUnfit(f"{where}: {details}")
        if code == grpc.StatusCode.UNIMPLEMENTED:
            return StoreUnfit(f"{where} does not know a call of ours: it is of another version")
        return RecordsFailed(f"{where}: {code.name}")


def _path(method: str) -> str:
    return f"/{SERVICE}/{method}"


def _open(library: Any, address: Address) -> Any:
    """A channel of grpc or of grpc.aio."""
    if not address.tls:
        return library.insecure_channel(address.target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(address.ca, address.cert_key, address.cert)
    return library.secure_channel(address.target, credentials, options=_OPTIONS)
