"""GET /api/emails/jobs/{jobId}/events: a campaign as it goes, as server-sent events (HTML standard, section 9.2).

Rules: an event when something changed, at most one in TURN seconds, and a comment now and then to keep the line open. The
last event is the one in which the campaign is over. Whoever comes again with the id of the last event that it saw is told
what changed since, and by 204 that there is nothing more. However many watch, one look a turn serves them all.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import blake2s

import msgspec

from posthouse.mail.errors import StoreAway
from posthouse.submission.answers import Answer
from posthouse.submission.bulk.jobs import JOB_ID, Jobs
from posthouse.submission.bulk.views import JobView
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.reference.describe import Doc, Parameter, Reply

TURN = 0.5
"""Seconds between two looks."""
QUIET = 15.0
"""Seconds without an event after which a comment is sent."""
AGAIN = 2000
"""Milliseconds after which a browser whose line broke comes again."""
OVER = ("COMPLETED", "FAILED", "CANCELED")

EVENTS = Doc(
    operation="watchJob",
    group="Bulk",
    summary="Watch a campaign",
    text="""\
Server-sent events named `job`, whose data is the campaign as `getJob` shows it: one at once, then one whenever something \
changed, at most two a second. The stream ends when nothing of the campaign is open. A browser comes again by itself; \
with the id of the last event that it saw it is told what changed since, if anything did.""",
    parameters=(
        JOB_ID,
        Parameter("Last-Event-ID", str, "The `id` of the last event that was seen.", where="header"),
    ),
    replies=(
        Reply(status=200, text="The events.", media="text/event-stream", headers=("Cache-Control",)),
        Reply(status=204, text="The campaign is over, and its last event was seen: do not come again."),
    ),
    problems=("no-campaigns",),
)


def watch_job(jobs: Jobs) -> Handler:
    """The handler."""
    looks = Looks(jobs)

    async def handle(call: Call) -> Answer:
        view = jobs.show(*await jobs.find(call))
        seen = call.headers.get(b"last-event-id")
        if is_over(view) and seen == _name(view):
            return Answer(204, [])
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        return Answer(200, headers, stream=_events(looks, view, seen))

    return handle


async def _events(looks: "Looks", view: JobView, seen: bytes | None) -> AsyncGenerator[bytes]:
    yield b"retry: %d\n\n" % AGAIN
    if seen != _name(view):
        yield _event(view)
    async with looks.at(view) as look:
        while not is_over(view) and not looks.stopping:
            changed = await look.after(view)
            if changed is not None:
                view = changed
                yield _event(view)
            elif not looks.stopping:
                yield b": still here\n\n"


class Looks:
    """The campaigns that somebody watches, each looked at once a turn."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._looks: dict[str, Look] = {}

    @property
    def stopping(self) -> bool:
        """Whether this process stops: who watches is to go on elsewhere."""
        return self._jobs.stopping.is_set()

    @asynccontextmanager
    async def at(self, view: JobView) -> "AsyncGenerator[Look]":
        """The look at a campaign, of which `view` is known; it ends with the last of those who watch."""
        look = self._looks.get(view.id)
        if look is None:
            look = self._looks[view.id] = Look(self._jobs)
        look.join(view)
        try:
            yield look
        finally:
            look.watchers -= 1
            if not look.watchers:
                del self._looks[view.id]
                look.end()


class Look:
    """One campaign, looked at once a turn while there are `watchers`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.watchers = self._joined = 0
        self._turned = asyncio.Event()

    def join(self, view: JobView) -> None:
        """One more watches, who has just seen this: what was asked before that is older, and is not shown."""
        self._view = view
        self.watchers += 1
        self._joined += 1
        if self.watchers == 1:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def after(self, view: JobView) -> JobView | None:
        """The campaign once it is no more like `view`; None when it stayed so for a while, or this process stops."""
        ends = asyncio.get_running_loop().time() + QUIET
        while _what_counts(self._view) == _what_counts(view):
            if self._jobs.stopping.is_set() or asyncio.get_running_loop().time() >= ends:
                return None
            await self._turned.wait()
        return self._view

    def end(self) -> None:
        """No more looks."""
        self._task.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(TURN)
            joined = self._joined
            try:
                found = await self._jobs.look(self._view.id)
            except StoreAway:
                found = None
            if found is not None and joined == self._joined:
                self._view = self._jobs.show(*found)
            self._turned.set()
            self._turned = asyncio.Event()


def is_over(view: JobView) -> bool:
    """Whether nothing of it is open, nor will be by itself."""
    return view.status in OVER and not view.pending_count + view.sending_count + view.deferred_count


def _what_counts(view: JobView) -> JobView:
    return msgspec.structs.replace(view, rate_per_second=None, expected_end=None)


def _name(view: JobView) -> bytes:
    """The same for the same, in whatever process."""
    return blake2s(msgspec.json.encode(_what_counts(view)), digest_size=8).hexdigest().encode()


def _event(view: JobView) -> bytes:
    return b"event: job\nid: " + _name(view) + b"\ndata: " + msgspec.json.encode(view) + b"\n\n"
