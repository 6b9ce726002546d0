"""From a claimed message to the bytes of a mail: content loaded in chunks, built, and handed to a transport.

Rules: content is loaded for what is about to be sent, LOADED bytes a process at most; transactional goes first. What is
for somebody on the suppression list goes no further (delivery.suppress). Under load the mails are built in another
process (delivery.build); one over LARGE on a thread, two at a time, so that the loop is never held up. What a template
gives (delivery.render) is kept before it is first sent, so a resend is the same mail. What cannot be written as a mail is
refused with the reason; what no transport can take now is given back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Container, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from posthouse.delivery.apart import Away
from posthouse.delivery.attempt import Attempt
from posthouse.delivery.breaker import Breaker
from posthouse.delivery.build import Builder
from posthouse.delivery.builder import write_or_refuse
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.manner import FindMade, Manner, versions_of
from posthouse.delivery.merge import Merger
from posthouse.delivery.render import Renderer
from posthouse.delivery.renderer import Order
from posthouse.delivery.suppress import held_back
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Content
from posthouse.mail.outcome import Outcome, refused
from posthouse.mail.template import Made, is_rendered
from posthouse.mail.unsubscribe import Links, link_of
from posthouse.store.base import Store
from posthouse.suppressed import SuppressionList
from posthouse.templates import TemplateFolder

CHUNK, BULK_CHUNK = 32, 128
"""Messages loaded at once: the fewer, the sooner the first goes out; of a campaign all that one claim gives."""
LOADED = 64 << 20
"""Bytes of content that may be loaded at once; a larger mail goes alone."""
LARGE = 256 << 10
"""Bytes above which a mail is built on a thread."""
BUILD_TURN = 0.002
"""Seconds of building after which the loop turns."""
AGAIN = 0.25
"""Seconds before a store that was away is asked again."""
AHEAD = 3
"""Chunks that may be on their way through the builder."""

Loaded = tuple[Attempt, Content]
Named = tuple[str, int | None]
"""A template, and its version."""

NOT_HERE = Outcome(
    result="deferred",
    text="the catalog of this worker has no such version of its template: POSTHOUSE_CATALOG",
)
"""Versions are never deleted: whoever accepted the mail has another catalog."""
NOWHERE = Outcome(
    result="deferred", text="this worker has no POSTHOUSE_TEMPLATES, and its catalog no template of this name"
)


class Loader:
    """`choose` gives the breaker of a usable transport or None; `give_back` takes what cannot go now, with why;
    `templates` is their folder, if there is one; `find` finds those of the catalog, if there is one; `suppressed` knows
    whom no mail must go to; `links` makes the links by which people unsubscribe."""

    def __init__(
        self,
        store: Store,
        choose: Callable[[], Breaker | None],
        give_back: Callable[[Attempt, str], None],
        return_path: str | None,
        templates: Path | None = None,
        manner: Manner | None = None,
        suppressed: SuppressionList | None = None,
        find: FindMade | None = None,
        links: Links | None = None,
    ) -> None:
        self._suppressed, self._links = suppressed or SuppressionList(), links
        self._store, self._choose, self._give_back, self._return_path = store, choose, give_back, return_path
        self._waiting: tuple[deque[Attempt], deque[Attempt]] = (deque(), deque())
        self._changed = asyncio.Event()
        self._loaded = 0
        self._threads = asyncio.Semaphore(2)
        self._builder = Builder(links)
        self._renderer = Renderer(templates, links)
        self._folder = None if templates is None else TemplateFolder(templates)
        self._find = find and versions_of(find)
        self._merger = Merger(manner or _no_campaigns, links)
        self._ahead = asyncio.Semaphore(AHEAD)
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

    def recall(self, ids: Container[str]) -> None:
        """Gives back what of these is not loaded yet."""
        for lane in self._waiting:
            for _ in range(len(lane)):
                attempt = lane.popleft()
                if attempt.id in ids:
                    self._give_back(attempt, "its campaign does not go on")
                else:
                    lane.append(attempt)

    def freed(self, attempt: Attempt) -> None:
        """The attempt is over: its content is no longer in memory."""
        self._loaded -= attempt.loaded
        attempt.loaded = 0
        self._changed.set()

    async def run(self) -> None:
        """Loads until cancelled."""
        try:
            while True:
                chunk = self._next_chunk()
                if chunk:
                    await self._load(chunk)
                else:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            await self._builder.stop()
            self._renderer.stop()
            self._merger.stop()

    def _next_chunk(self) -> list[Attempt]:
        chunk: list[Attempt] = []
        most = CHUNK if self._waiting[0] else BULK_CHUNK
        for lane in self._waiting:
            while lane and len(chunk) < most:
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
            contents, held = await self._look_up(chunk)
        except StoreAway:
            await asyncio.sleep(AGAIN)
            for attempt in chunk:
                self._give_back(attempt, "the store is away")
            return
        for attempt in chunk:
            if attempt.id in held:
                attempt.suppress(held[attempt.id])
        mails = list(self._sorted_out([attempt for attempt in chunk if attempt.recipients], contents))
        if self._builder.ready_for(len(mails)):
            await self._ahead.acquire()
            self._start(self._build_apart(mails))
        else:
            await self._build_here(mails)

    async def _look_up(self, chunk: list[Attempt]) -> tuple[dict[str, Content], dict[str, dict[str, str]]]:
        """The contents, and of which mails whom it must not go to, with why."""
        if not any(self._suppressed.covers(attempt.lane) for attempt in chunk):
            return await self._contents(chunk), {}
        return await asyncio.gather(self._contents(chunk), held_back(self._suppressed, chunk))

    async def _contents(self, chunk: list[Attempt]) -> dict[str, Content]:
        """Of mail that came with its content nothing is asked for."""
        contents = {attempt.id: attempt.content for attempt in chunk if attempt.content is not None}
        missing = [attempt.id for attempt in chunk if attempt.content is None]
        return contents | await self._store.contents(missing) if missing else contents

    def _sorted_out(self, chunk: list[Attempt], contents: Mapping[str, Content]) -> Iterator[Loaded]:
        """What is to be built with the rest: a large one is built by itself, what has a template is rendered, one
        without content is settled."""
        unrendered: list[Loaded] = []
        campaigns: dict[str, list[Loaded]] = {}
        for attempt in chunk:
            content, attempt.content = contents.get(attempt.id), None
            if content is None:
                attempt.settle([refused("its content is no longer kept")] * len(attempt.recipients))
            elif is_rendered(content):
                if attempt.message.size > LARGE:
                    self._start(self._build_large(attempt, content))
                else:
                    yield attempt, content
            elif attempt.message.campaign is not None:
                campaigns.setdefault(attempt.message.campaign, []).append((attempt, content))
            else:
                unrendered.append((attempt, content))
        if unrendered:
            self._start(self._render(unrendered))
        for campaign, mails in campaigns.items():
            self._start(self._merge(campaign, mails))

    def _start(self, building: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(building)
        self._building.add(task)
        task.add_done_callback(self._building.discard)

    async def _build_apart(self, mails: list[Loaded]) -> None:
        """In the other process, while the next chunk is loaded; whatever goes wrong there, they are built."""
        try:
            data = await self._builder.build([(attempt.message, content) for attempt, content in mails])
        except Away:
            await self._build_here(mails)
        except Exception:
            structlog.get_logger("delivery").exception("builder stumbled")
            await self._build_here(mails)
        else:
            self._send(
                [a for (a, content), each in zip(mails, data, strict=True) if self._written(a, content, each)]
            )
        finally:
            self._ahead.release()

    async def _render(self, mails: list[Loaded]) -> None:
        """In its own process; what came of it is kept before any of it is sent."""
        try:
            templates = await self._templates(content for _, content in mails)
            mails = [(a, c) for a, c in mails if self._is_renderable(a, c, templates)]
            places = {named: place for place, named in enumerate(templates)}
            built = await self._renderer.render(
                [Order(a.message, c, places.get(_named(c))) for a, c in mails],
                [made for made in templates.values() if made is not None],
            )
            kept = await self._store.keep(
                [
                    (attempt.id, attempt.message.fence, each.content)
                    for (attempt, _), each in zip(mails, built, strict=True)
                    if each.content is not None
                ]
            )
        except Exception as error:
            self._not_rendered(mails, error)
            return
        ready: list[Attempt] = []
        for (attempt, content), each in zip(mails, built, strict=True):
            if each.content is not None and attempt.id not in kept:
                self._give_back(attempt, "the lease is over")
            elif self._written(attempt, content, each.data):
                ready.append(attempt)
        self._send(ready)

    async def _templates(self, contents: Iterable[Content]) -> dict[Named, Made | None]:
        """Those that these name and the folder does not have; those that are there come first."""
        wanted = {_named(each) for each in contents}
        if self._folder is not None:
            wanted = {each for each in wanted if each[1] is not None or not self._folder.has(each[0])}
        found = {each: self._find and await self._find(*each) for each in wanted}
        if self._folder is not None:  # what is nowhere was in the folder once
            found = {each: made for each, made in found.items() if made is not None or each[1] is not None}
        return dict(sorted(found.items(), key=lambda each: each[1] is None))

    def _is_renderable(
        self, attempt: Attempt, content: Content, templates: Mapping[Named, Made | None]
    ) -> bool:
        """Whether its template can be had; else that is its outcome."""
        named = _named(content)
        if templates.get(named, True) is not None:
            return True
        attempt.settle([NOWHERE if named[1] is None else NOT_HERE] * len(attempt.recipients))
        return False

    async def _merge(self, campaign: str, mails: list[Loaded]) -> None:
        """In their own process, while the next chunk is loaded; pieces go out as they come."""
        left = deque(mails)
        try:
            pieces = self._merger.merge(campaign, [(attempt.message, content) for attempt, content in mails])
            async for piece in pieces:
                made = [(*left.popleft(), data) for data in piece]
                self._send([each[0] for each in made if self._written(*each)])
                while self._loaded > LOADED:
                    self._changed.clear()
                    await self._changed.wait()
        except Exception as error:
            self._not_rendered(left, error)

    def _not_rendered(self, mails: Iterable[Loaded], error: Exception) -> None:
        why = "shutting down" if isinstance(error, Away) else "the store is away"
        if not isinstance(error, Away | StoreAway):
            why = "it could not be rendered: an error of ours"
            structlog.get_logger("delivery").error("renderer stumbled", exc_info=error)
        for attempt, _ in mails:
            self._give_back(attempt, why)

    async def _build_here(self, mails: list[Loaded]) -> None:
        """A few at a time: requests that came meanwhile are answered before the next few."""
        built: list[Attempt] = []
        turn = elapsed_clock()
        for attempt, content in mails:
            if self._written(attempt, content, self._write(attempt, content)):
                built.append(attempt)
            if elapsed_clock() - turn > BUILD_TURN:
                self._send(built)
                await asyncio.sleep(0)
                built, turn = [], elapsed_clock()
        self._send(built)

    async def _build_large(self, attempt: Attempt, content: Content) -> None:
        async with self._threads:
            data = await asyncio.to_thread(self._write, attempt, content)
        if self._written(attempt, content, data):
            self._send([attempt])

    def _write(self, attempt: Attempt, content: Content) -> bytes | Outcome:
        link = link_of(self._links, attempt.message, content)
        return write_or_refuse(attempt.message, content, link)

    def _written(self, attempt: Attempt, content: Content, data: bytes | Outcome) -> bool:
        if isinstance(data, Outcome):
            attempt.settle([data] * len(attempt.recipients))
            return False
        attempt.sender = self._return_path or content.sender.email
        attempt.data = data
        swelled = max(len(data) - attempt.loaded, 0)
        attempt.loaded += swelled
        self._loaded += swelled
        return True

    def _send(self, attempts: list[Attempt]) -> None:
        breaker = None if self._closed else self._choose()
        for attempt in attempts:
            attempt.breaker = breaker
            if breaker is None:
                self._give_back(attempt, "shutting down" if self._closed else "no transport can be used")
            attempt.handed = elapsed_clock()
        if breaker is not None:
            breaker.transport.send(attempts)


def _named(content: Content) -> Named:
    return content.template or "", content.template_version


async def _no_campaigns(campaign: str) -> None:
    """Where nobody said how their mail is made."""
