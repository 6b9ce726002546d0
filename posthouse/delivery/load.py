"""From a claimed message to the bytes of a mail: content loaded in chunks, built, and handed to a transport.

Rules: content is loaded for what is about to be sent, LOADED bytes a process at most; transactional goes first. A mail
over LARGE is built on a thread, two at a time, so that the loop is never held up. What cannot be written as a mail is
refused with the reason; what no transport can take now is given back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.breaker import Breaker
from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.errors import MailError, StoreAway
from posthouse.mail.message import Content
from posthouse.mail.mime import write
from posthouse.mail.outcome import Outcome, refused
from posthouse.store.base import Store

CHUNK = 32
"""Messages loaded at once."""
LOADED = 64 << 20
"""Bytes of content that may be loaded at once; a larger mail goes alone."""
LARGE = 256 << 10
"""Bytes above which a mail is built on a thread."""
BUILD_TURN = 0.002
"""Seconds of building after which the loop turns."""
AGAIN = 0.25
"""Seconds before a store that was away is asked again."""


class Loader:
    """`choose` gives the breaker of a usable transport or None; `give_back` takes what cannot go now, with why."""

    def __init__(
        self,
        store: Store,
        choose: Callable[[], Breaker | None],
        give_back: Callable[[Attempt, str], None],
        return_path: str | None,
    ) -> None:
        self._store, self._choose, self._give_back, self._return_path = store, choose, give_back, return_path
        self._waiting: tuple[deque[Attempt], deque[Attempt]] = (deque(), deque())
        self._changed = asyncio.Event()
        self._loaded = 0
        self._threads = asyncio.Semaphore(2)
        self._building: set[asyncio.Task[None]] = set()
        self._closed = False

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Takes claimed messages; what comes after `close` is given back."""
        for attempt in attempts:
            self._waiting[attempt.lane == "bulk"].append(attempt)
        if self._closed:
            self.close()
        self._changed.set()

    def close(self) -> None:
        """Gives back all that is not loaded yet, and whatever comes."""
        self._closed = True
        for lane in self._waiting:
            while lane:
                self._give_back(lane.popleft(), "shutting down")

    def freed(self, attempt: Attempt) -> None:
        """The attempt is over: its content is no longer in memory."""
        self._loaded -= attempt.loaded
        attempt.loaded = 0
        self._changed.set()

    async def run(self) -> None:
        """Loads until cancelled."""
        while True:
            chunk = self._next_chunk()
            if chunk:
                await self._load(chunk)
            else:
                self._changed.clear()
                await self._changed.wait()

    def _next_chunk(self) -> list[Attempt]:
        chunk: list[Attempt] = []
        for lane in self._waiting:
            while lane and len(chunk) < CHUNK:
                if not self._fits(lane[0]):
                    return chunk
                attempt = lane.popleft()
                attempt.loaded = attempt.message.size
                self._loaded += attempt.loaded
                chunk.append(attempt)
        return chunk

    def _fits(self, attempt: Attempt) -> bool:
        return self._loaded == 0 or self._loaded + attempt.message.size <= LOADED

    async def _load(self, chunk: list[Attempt]) -> None:
        try:
            contents = await self._store.contents([attempt.id for attempt in chunk])
        except StoreAway:
            await asyncio.sleep(AGAIN)
            for attempt in chunk:
                self._give_back(attempt, "the store is away")
            return
        await self._build_all(chunk, contents)

    async def _build_all(self, chunk: list[Attempt], contents: Mapping[str, Content]) -> None:
        """A few at a time: requests that came meanwhile are answered before the next few."""
        built: list[Attempt] = []
        turn = elapsed_clock()
        for attempt in chunk:
            if self._build(attempt, contents.get(attempt.id)):
                built.append(attempt)
            if elapsed_clock() - turn > BUILD_TURN:
                self._send(built)
                await asyncio.sleep(0)
                built, turn = [], elapsed_clock()
        self._send(built)

    def _build(self, attempt: Attempt, content: Content | None) -> bool:
        """Whether it is built now; a large one follows by itself, a bad one is settled."""
        if content is None:
            attempt.settle([refused("its content is no longer kept")] * len(attempt.recipients))
            return False
        if attempt.message.size > LARGE:
            task = asyncio.get_running_loop().create_task(self._build_large(attempt, content))
            self._building.add(task)
            task.add_done_callback(self._building.discard)
            return False
        return self._written(attempt, content, write_or_refuse(attempt, content))

    async def _build_large(self, attempt: Attempt, content: Content) -> None:
        async with self._threads:
            data = await asyncio.to_thread(write_or_refuse, attempt, content)
        if self._written(attempt, content, data):
            self._send([attempt])

    def _written(self, attempt: Attempt, content: Content, data: bytes | Outcome) -> bool:
        if isinstance(data, Outcome):
            attempt.settle([data] * len(attempt.recipients))
            return False
        attempt.sender = self._return_path or content.sender.email
        attempt.data = data
        return True

    def _send(self, attempts: list[Attempt]) -> None:
        breaker = None if self._closed else self._choose()
        for attempt in attempts:
            attempt.breaker = breaker
            if breaker is None:
                self._give_back(attempt, "shutting down" if self._closed else "no transport can be used")
        if breaker is not None:
            breaker.transport.send(attempts)


def write_or_refuse(attempt: Attempt, content: Content) -> bytes | Outcome:
    """The mail's bytes, or what becomes of it without: refused with the reason; tried again where the fault is ours."""
    try:
        return write(attempt.message, content)
    except MailError as error:
        return refused(error.text)
    except Exception:
        structlog.get_logger("delivery").exception("mail not written", id=attempt.id)
        return Outcome(result="deferred", text="it could not be written: an error of ours")
