"""GET /api/emails/jobs/{jobId}/events: a campaign as it goes, as server-sent events (HTML standard, section 9.2).

Rules: an event when something changed, at most one in TURN seconds, and a comment now and then to keep the line open; the
last event is the one in which the campaign is over. However many watch, one look a turn serves them all.
"""

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from posthouse.mail.errors import StoreAway
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer
from posthouse.submission.bulk.jobs import JOB_ID, Jobs
from posthouse.submission.bulk.views import JobView
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.reference.describe import Doc, Reply

TURN = 0.5
"""Seconds between two looks."""
QUIET = 15.0
"""Seconds without an event after which a comment is sent."""
OVER = ("COMPLETED", "FAILED", "CANCELED")

EVENTS = Doc(
    operation="watchJob",
    group="Bulk",
    summary="Watch a campaign",
    text="""\
Server-sent events named `job`, whose data is the campaign as `getJob` shows it: one at once, then one whenever something \
changed, at most two a second. The stream ends when nothing of the campaign is open.""",
    parameters=(JOB_ID,),
    replies=(Reply(status=200, text="The events.", media="text/event-stream", headers=("Cache-Control",)),),
    problems=("no-campaigns",),
)


def watch_job(jobs: Jobs) -> Handler:
    """The handler."""

    async def handle(call: Call) -> Answer:
        campaign, counts = await jobs.find(call)
        first = jobs.show(campaign, counts)
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        return Answer(200, headers, stream=_events(jobs, first))

    return handle


async def _events(jobs: Jobs, last: JobView) -> AsyncGenerator[bytes]:
    yield _event(last)
    silent = 0.0
    while not _is_over(last):
        await asyncio.sleep(TURN)
        try:
            found = await in_time(jobs.campaigns.campaign(last.id))
        except StoreAway:
            found = None
        view = last if found is None else jobs.show(*found)
        silent += TURN
        if _what_counts(view) != _what_counts(last):
            last, silent = view, 0.0
            yield _event(view)
        elif silent >= QUIET:
            silent = 0.0
            yield b": still here\n\n"


def _is_over(view: JobView) -> bool:
    return view.status in OVER and not view.pending_count + view.sending_count + view.deferred_count


def _what_counts(view: JobView) -> JobView:
    return msgspec.structs.replace(view, rate_per_second=None, expected_end=None)


def _event(view: JobView) -> bytes:
    return b"event: job\ndata: " + msgspec.json.encode(view) + b"\n\n"
