"""ACCEPT, the one use case of submission: what every door (HTTP, gRPC, SMTP, queues) calls with a checked mail.

Rules: it answers after the commit and never waits for a queue. Concurrent mails share a commit. A key makes a mail
once: an equal request waits for the first one's commit and gets its answer. Whoever is on the suppression list enters
suppressed; the others of the same mail get it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TypeVar

import msgspec

from posthouse.batch import Batcher
from posthouse.mail.errors import StoreAway
from posthouse.mail.identity import message_id
from posthouse.mail.message import Content, Lane, Message, Recipient
from posthouse.mail.suppression import Suppression
from posthouse.store.base import Draft, Key, Saved, Store
from posthouse.suppressed import Asked, SuppressionList

STORE_SECONDS = 5.0
"""Seconds after which a store that does not answer is away."""
TICKS = 25
"""How often within STORE_SECONDS it is looked for what has not been answered."""
IN_FLIGHT_SECONDS = 1.0
"""Seconds that an equal request waits for the first one's commit."""
LIST_SECONDS = 1.0
"""Seconds that a batch waits for the suppression list; workers ask it again in any case."""

_RECORD_BYTES = 500

T = TypeVar("T")


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A checked mail. Each address is among `recipients` once; times are microseconds, both absent as a rule. `id` is
    there where the caller made it, `event_id` where its producer has a name for it."""

    content: Content
    recipients: list[Recipient]
    lane: Lane = "transactional"
    tags: tuple[str, ...] = ()
    scheduled_at: int | None = None
    expires_at: int | None = None
    id: str | None = None
    event_id: str | None = None


class StillRunning(Exception):
    """An equal request with the same key is being stored and that takes long."""


class Accept:
    """`hint` is told of new mail that is due; a mail lives `expire` seconds if it does not say otherwise; `suppressed`
    knows whom it must not go to; `took` hears of each batch how many seconds its mails waited for the commit."""

    def __init__(
        self,
        store: Store,
        hint: Callable[[Sequence[Message]], None],
        *,
        new_id: Callable[[], str],
        hostname: str,
        expire: float,
        suppressed: SuppressionList | None = None,
        took: Callable[[Sequence[float]], None] = lambda seconds: None,
    ) -> None:
        self._store, self._hint, self._took = store, hint, took
        self._suppressed = suppressed or SuppressionList()
        self._new_id, self._hostname, self._expire = new_id, hostname, expire
        self._batcher: Batcher[tuple[Draft, float], Saved] = Batcher(
            self._save, weigh=_weigh, away=(StoreAway,)
        )
        self._in_flight: dict[tuple[str, str], tuple[bytes, asyncio.Future[Saved]]] = {}
        self._deadlines = Deadlines()

    def __call__(self, submission: Submission, key: Key | None = None) -> Awaitable[Saved]:
        """Stores it durably. `conflict` in the result says that the key belongs to another payload.

        Raises StoreAway, batch.Full (nothing was stored) and StillRunning."""
        return self._add(submission, None) if key is None else self._once(submission, key)

    async def drain(self) -> None:
        """Returns when nothing waits for its commit."""
        await self._batcher.drain()

    async def _once(self, submission: Submission, key: Key) -> Saved:
        name = (key.scope, key.key)
        running = self._in_flight.get(name)
        if running is not None:
            return await self._same(*running, key)
        future = self._add(submission, key)
        self._in_flight[name] = (key.fingerprint, future)
        future.add_done_callback(lambda done: self._landed(name, done))
        return await asyncio.shield(future)

    def _add(self, submission: Submission, key: Key | None) -> asyncio.Future[Saved]:
        future = self._batcher.add((self._draft(submission, key), perf_counter()))
        self._deadlines.watch(future)
        return future

    async def _same(self, fingerprint: bytes, first: asyncio.Future[Saved], key: Key) -> Saved:
        """The answer to a request whose key is being stored right now."""
        done, _ = await asyncio.wait([first], timeout=IN_FLIGHT_SECONDS)
        if not done:
            raise StillRunning
        saved = first.result()
        conflict = saved.conflict or fingerprint != key.fingerprint
        return Saved(saved.message, created=False, conflict=conflict)

    def _landed(self, name: tuple[str, str], done: asyncio.Future[Saved]) -> None:
        del self._in_flight[name]
        if not done.cancelled():
            done.exception()  # looked at here, since its caller may be gone

    def _draft(self, submission: Submission, key: Key | None) -> Draft:
        id = submission.id or self._new_id()
        message = Message(
            id=id,
            event_id=submission.event_id,
            message_id=message_id(id, self._hostname),
            lane=submission.lane,
            tags=submission.tags,
            size=_size(submission.content),
            scheduled_at=submission.scheduled_at,
            expires_at=submission.expires_at or 0,
            recipients=submission.recipients,
            history=[],
        )
        return Draft(message, submission.content, key, self._expire)

    async def _save(self, items: list[tuple[Draft, float]]) -> list[Saved]:
        results = await self._store.save(await self._marked([draft for draft, _ in items]))
        now = perf_counter()
        self._took([now - since for _, since in items])
        due = [saved.message for saved in results if saved.created and _is_due(saved.message)]
        if due:
            self._hint(due)
        return results

    async def _marked(self, drafts: list[Draft]) -> list[Draft]:
        """The same drafts, each knowing who of it is on the suppression list. While that is away nobody is: no answer
        waits for it, and the worker asks again."""
        covered = [draft.message for draft in drafts if self._suppressed.covers(draft.message.lane)]
        asked: list[Asked] = [
            (message.lane, each.email) for message in covered for each in message.recipients
        ]
        if not asked:
            return drafts
        try:
            async with asyncio.timeout(LIST_SECONDS):
                found = await self._suppressed.find(asked)
        except (StoreAway, TimeoutError):
            return drafts
        return [_marked(draft, found) for draft in drafts] if found else drafts


class Deadlines:
    """Fails with StoreAway what the store has not answered in STORE_SECONDS (it may still happen).

    One timer for all: a time-out of its own costs each mail ten times as much as a place in this line."""

    def __init__(self) -> None:
        self._line: deque[tuple[float, asyncio.Future[Saved]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, future: asyncio.Future[Saved]) -> None:
        """From now on its time runs."""
        loop = asyncio.get_running_loop()
        self._line.append((loop.time() + STORE_SECONDS, future))
        if self._timer is None:
            self._timer = loop.call_later(STORE_SECONDS / TICKS, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._line and (self._line[0][1].done() or self._line[0][0] <= now):
            _, future = self._line.popleft()
            if not future.done():
                future.set_exception(StoreAway("the store did not answer in time"))
        self._timer = loop.call_later(STORE_SECONDS / TICKS, self._tick, loop) if self._line else None


async def in_time(call: Awaitable[T]) -> T:
    """The answer of a store, or StoreAway when there is none in time (what was asked may still happen)."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            return await call
    except TimeoutError:
        raise StoreAway("the store did not answer in time") from None


def _is_due(message: Message) -> bool:
    """Whether there is something to do for a worker now."""
    return message.scheduled_at is None and message.due_at is not None


def _marked(draft: Draft, found: dict[Asked, Suppression]) -> Draft:
    told: dict[str, str] = {}
    for recipient in draft.message.recipients:
        entry = found.get((draft.message.lane, recipient.email))
        if entry is not None and entry.concerns(draft.message, recipient.email):
            told[recipient.email] = entry.text
    return msgspec.structs.replace(draft, suppressed=told) if told else draft


def _weigh(item: tuple[Draft, float]) -> int:
    return item[0].message.size


def _size(content: Content) -> int:
    size = _RECORD_BYTES + len(content.subject) + len(content.html or "") + len(content.text or "")
    if content.variables:
        size += len(msgspec.msgpack.encode(content.variables))
    if content.attachments:
        size += sum(len(attachment.content) for attachment in content.attachments)
    return size
