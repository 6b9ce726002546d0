"""Client and SyncClient: the calls (calls) carried out over HTTP."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from posthouse.client.calls import Ask, Reply, Steps, get, send, wait
from posthouse.client.mail import Error, Mail, Record, Sent

T = TypeVar("T")

AT_ONCE = 32
"""Mails of a batch that are under way at once."""
SECONDS = 10.0
"""Seconds that one request may take."""


class Client:
    """A Posthouse over HTTP. `key` is an API key or a token; `patience` is how many seconds a call is repeated while the
    server is away, or says that it is too much. One client serves any number of tasks of one event loop."""

    def __init__(self, url: str, key: str, *, patience: float = 30.0, timeout: float = SECONDS) -> None:
        self._patience = patience
        limits = httpx2.Limits(max_connections=AT_ONCE * 2, max_keepalive_connections=AT_ONCE)
        self._http = httpx2.AsyncClient(
            base_url=url, headers=_headers(key), timeout=timeout, limits=limits, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._http.aclose()

    async def send(self, mail: Mail, *, key: str | None = None) -> Sent:
        """Hands in a mail; it is stored for good when this returns. `key` repeats an earlier call.

        Raises Refused, Unreached."""
        return await self._run(send(mail, key or _new_key(), self._patience, time.monotonic))

    async def batch(self, mails: Iterable[Mail] | AsyncIterable[Mail]) -> list[Sent | Error]:
        """Hands in many, AT_ONCE at a time, each by itself: what became of each, in order."""
        gate = asyncio.Semaphore(AT_ONCE)
        tasks: list[asyncio.Task[Sent | Error]] = []
        async with asyncio.TaskGroup() as group:
            async for mail in _each(mails):
                await gate.acquire()
                tasks.append(group.create_task(self._one(mail, gate)))
        return [task.result() for task in tasks]

    async def get(self, id: str) -> Record:
        """The record of a mail. Raises Refused (404 for none), Unreached."""
        return await self._run(get(id, self._patience, time.monotonic))

    async def wait(self, id: str, seconds: float = 60.0) -> Record:
        """The record once nothing of it is open. Raises StillOpen after so many seconds, and what `get` raises."""
        return await self._run(wait(id, seconds, self._patience, time.monotonic))

    async def _one(self, mail: Mail, gate: asyncio.Semaphore) -> Sent | Error:
        try:
            return await self.send(mail)
        except Error as error:
            return error
        finally:
            gate.release()

    async def _run(self, steps: Steps[T]) -> T:
        reply: Reply | None = None
        try:
            while True:
                step = steps.send(reply)
                reply = await self._ask(step) if isinstance(step, Ask) else await asyncio.sleep(step)
        except StopIteration as done:
            return done.value

    async def _ask(self, ask: Ask) -> Reply:
        try:
            reply = await self._http.request(ask.method, ask.path, headers=ask.headers, content=ask.body)
        except httpx2.TransportError as error:
            return _no_reply(error)
        return _reply(reply)


class SyncClient:
    """The same for programs without an event loop. One client serves any number of threads."""

    def __init__(self, url: str, key: str, *, patience: float = 30.0, timeout: float = SECONDS) -> None:
        self._patience = patience
        limits = httpx2.Limits(max_connections=AT_ONCE * 2, max_keepalive_connections=AT_ONCE)
        self._http = httpx2.Client(
            base_url=url, headers=_headers(key), timeout=timeout, limits=limits, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connections."""
        self._http.close()

    def send(self, mail: Mail, *, key: str | None = None) -> Sent:
        """See Client.send."""
        return self._run(send(mail, key or _new_key(), self._patience, time.monotonic))

    def batch(self, mails: Sequence[Mail]) -> list[Sent | Error]:
        """See Client.batch."""
        with ThreadPoolExecutor(AT_ONCE, "posthouse-client") as threads:
            return list(threads.map(self._one, mails))

    def get(self, id: str) -> Record:
        """See Client.get."""
        return self._run(get(id, self._patience, time.monotonic))

    def wait(self, id: str, seconds: float = 60.0) -> Record:
        """See Client.wait."""
        return self._run(wait(id, seconds, self._patience, time.monotonic))

    def _one(self, mail: Mail) -> Sent | Error:
        try:
            return self.send(mail)
        except Error as error:
            return error

    def _run(self, steps: Steps[T]) -> T:
        reply: Reply | None = None
        try:
            while True:
                step = steps.send(reply)
                reply = self._ask(step) if isinstance(step, Ask) else time.sleep(step)
        except StopIteration as done:
            return done.value

    def _ask(self, ask: Ask) -> Reply:
        try:
            reply = self._http.request(ask.method, ask.path, headers=ask.headers, content=ask.body)
        except httpx2.TransportError as error:
            return _no_reply(error)
        return _reply(reply)


async def _each(mails: Iterable[Mail] | AsyncIterable[Mail]) -> AsyncIterable[Mail]:
    if isinstance(mails, AsyncIterable):
        async for mail in mails:
            yield mail
    else:
        for mail in mails:
            yield mail


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "accept": "application/json"}


def _reply(reply: httpx2.Response) -> Reply:
    return Reply(reply.status_code, reply.headers, reply.content)


def _no_reply(error: httpx2.TransportError) -> Reply:
    return Reply(0, {}, f"no answer: {type(error).__name__}".encode())


def _new_key() -> str:
    return secrets.token_urlsafe(24)
