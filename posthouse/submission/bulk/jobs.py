"""GET /api/emails/jobs, one or all of them, and what steers one: pause, resume, cancel, retry-failed."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any, get_args

import msgspec

from posthouse.mail.campaign import Act, Campaign, Counts, is_over
from posthouse.mail.lifecycle import STATES, State, allows
from posthouse.mail.outcome import Category
from posthouse.store.base import UnknownCursor
from posthouse.store.catalog.campaigns import Campaigns, Chosen, Impossible
from posthouse.store.catalog.trail import Trail
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.bulk.announce import Announcements
from posthouse.submission.bulk.pace import Pace
from posthouse.submission.bulk.views import (
    ActsView,
    BreakdownView,
    JobsView,
    JobView,
    RetryReply,
    show_act,
    show_job,
    show_shares,
)
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.logs import BAD_CURSOR, read_arguments
from posthouse.submission.paging import CURSOR, LIST_LIMIT, page_of, read_numbered_place, read_place
from posthouse.submission.problems import Finding, Problem, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply

JOB_ID = Parameter(
    "jobId",
    Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[!-.0-~]+$")],
    "The id of a campaign, as send-bulk gave it.",
    where="path",
    example="019a0b9e-5c00-7000-8000-5d3a1c9be002",
)
AGAIN: tuple[State, ...] = tuple(state for state in STATES if allows(state, "retry"))
"""The states that a person can send again."""
SLICE = 500
"""Recipients that one write makes due again."""
_ID = re.compile("[!-~]{1,64}")
_DOMAIN = re.compile("[!-~]{1,255}")

GET_JOB = Doc(
    operation="getJob",
    group="Bulk",
    summary="Show a campaign",
    text="How far it is, in counts that add up to totalCount in every answer.",
    parameters=(JOB_ID,),
    replies=(Reply(status=200, text="The campaign.", types=(JobView,)),),
    problems=("no-campaigns",),
)
LIST_JOBS = Doc(
    operation="listJobs",
    group="Bulk",
    summary="List campaigns",
    text="Newest first.",
    parameters=(LIST_LIMIT, CURSOR),
    replies=(Reply(status=200, text="A page.", types=(JobsView,)),),
    problems=("no-campaigns", "validation"),
)
BREAKDOWN = Doc(
    operation="getJobBreakdown",
    group="Bulk",
    summary="Show where a campaign succeeds and fails",
    text="Its recipients by domain, state and class of failure: at most 1,000 rows.",
    parameters=(JOB_ID,),
    replies=(Reply(status=200, text="The breakdown.", types=(BreakdownView,)),),
    problems=("no-campaigns",),
)
LIST_ACTS = Doc(
    operation="listJobActs",
    group="Bulk",
    summary="List what was done with a campaign",
    text="Made, started, paused, resumed, canceled, retried: when, by whom, the newest first.",
    parameters=(JOB_ID, LIST_LIMIT, CURSOR),
    replies=(Reply(status=200, text="A page.", types=(ActsView,)),),
    problems=("no-campaigns", "validation"),
)
ACTS: dict[str, tuple[Act, str, str]] = {
    "pause": (
        "pause",
        "Pause a campaign",
        "No more of it is begun, within a second. A paused one stays paused.",
    ),
    "resume": ("resume", "Let a campaign go on", "Where it was. One that runs goes on."),
    "cancel": (
        "cancel",
        "Cancel a campaign",
        "At once: what is not in the air is never sent; what is ends as sent or canceled.",
    ),
}
RETRY_FAILED = Doc(
    operation="retryJob",
    group="Bulk",
    summary="Send what failed again",
    text="Exactly those that are chosen, all that failed without any choice; a dry run tells how many, and why they failed.",
    parameters=(
        JOB_ID,
        Parameter("state", str, f"Only these, separated by commas, of {', '.join(AGAIN)}; default failed."),
        Parameter("category", str, "Only failures of these classes, such as mailbox_full,policy."),
        Parameter("domain", str, "Only at these domains."),
        Parameter("dryRun", bool, "Change nothing."),
    ),
    replies=(Reply(status=200, text="The campaign; or what a dry run found.", types=(JobView, RetryReply)),),
    problems=("no-campaigns", "campaign-state", "validation"),
)


def act_doc(name: str) -> Doc:
    """What is said of an act."""
    act, summary, text = ACTS[name]
    return Doc(
        operation=f"{act}Job",
        group="Bulk",
        summary=summary,
        text=text,
        parameters=(JOB_ID,),
        replies=(Reply(status=200, text="The campaign as it is now.", types=(JobView,)),),
        problems=("no-campaigns", "campaign-state"),
    )


class Jobs(msgspec.Struct, frozen=True):
    """What campaigns are shown and steered with. `now` gives microseconds since 1970; `expire` is how many seconds a mail
    lives on after a retry; `stopping` is set when this process is to end."""

    campaigns: Campaigns
    trail: Trail
    announcements: Announcements
    pace: Pace
    now: Callable[[], int]
    expire: float
    stopping: asyncio.Event

    async def find(self, call: Call) -> tuple[Campaign, Counts]:
        """The campaign that a path names, with its counts; raises the problem `not-found`."""
        id = call.path["jobId"]
        found = await self.look(id) if _ID.fullmatch(id) else None
        if found is None:
            raise Problem("not-found", "There is no campaign with this id.")
        return found

    async def look(self, id: str) -> tuple[Campaign, Counts] | None:
        """The campaign of that id; raises StoreAway."""
        found = await in_time(self.campaigns.campaign(id))
        return found and await self.noted(*found)

    async def noted(self, campaign: Campaign, counts: Counts) -> tuple[Campaign, Counts]:
        """The same, with the time when it was over: whoever sees that first notes it, be it not a worker."""
        if is_over(campaign, counts) and campaign.completed_at is None:
            campaign = await in_time(self.campaigns.complete(campaign.id)) or campaign
        return campaign, counts

    def show(self, campaign: Campaign, counts: Counts) -> JobView:
        """The campaign as callers see it."""
        rate = self.pace.of(campaign, counts)
        return show_job(campaign, counts, rate, self.now())


def get_job(jobs: Jobs) -> Handler:
    """The handler of GET /api/emails/jobs/{jobId}."""

    async def handle(call: Call) -> Answer:
        return json_answer(200, jobs.show(*await jobs.find(call)))

    return handle


def list_jobs(jobs: Jobs) -> Handler:
    """The handler of GET /api/emails/jobs."""

    async def handle(call: Call) -> Answer:
        limit, cursor = read_place(read_arguments(call.query))
        try:
            found = await in_time(jobs.campaigns.campaigns(limit + 1, cursor))
        except UnknownCursor:
            raise invalid([BAD_CURSOR]) from None
        page, place = page_of(found, limit, lambda each: each[0].id)
        items = [jobs.show(*await jobs.noted(*each)) for each in page]
        return json_answer(200, JobsView(items, place))

    return handle


def breakdown(jobs: Jobs) -> Handler:
    """The handler of GET /api/emails/jobs/{jobId}/breakdown."""

    async def handle(call: Call) -> Answer:
        campaign, _ = await jobs.find(call)
        return json_answer(200, show_shares(await in_time(jobs.campaigns.shares(campaign.id))))

    return handle


def list_acts(jobs: Jobs) -> Handler:
    """The handler of GET /api/emails/jobs/{jobId}/acts."""

    async def handle(call: Call) -> Answer:
        campaign, _ = await jobs.find(call)
        limit, cursor = read_numbered_place(read_arguments(call.query))
        found = await in_time(jobs.trail.acts(limit + 1, cursor, f"campaign:{campaign.id}"))
        page, place = page_of(found, limit, lambda each: each.id)
        return json_answer(200, ActsView([show_act(each) for each in page], place))

    return handle


def steer(jobs: Jobs, act: Act) -> Handler:
    """The handler of an act on one campaign."""

    async def handle(call: Call) -> Answer:
        campaign, _ = await jobs.find(call)
        await do(jobs, campaign.id, act, call.key.name)
        return json_answer(200, jobs.show(*await jobs.find(call)))

    return handle


async def do(jobs: Jobs, id: str, act: Act, by: str, detail: dict[str, Any] | None = None) -> None:
    """Moves a campaign; raises the problem `campaign-state`."""
    try:
        await in_time(jobs.campaigns.act(id, act, by, detail))
    except Impossible as error:
        raise Problem("campaign-state", str(error)) from None


def read_chosen(arguments: dict[str, str]) -> Chosen:
    """Which recipients are to be sent again; raises Problem naming every wrong argument."""
    findings: list[Finding] = []

    def words(name: str, known: tuple[str, ...] | None) -> tuple[Any, ...]:
        given = tuple(word for word in arguments.get(name, "").lower().split(",") if word)
        if known is not None and not set(given) <= set(known):
            findings.append(Finding(f"/{name}", f"must be of {', '.join(known)}"))
        if known is None and not all(_DOMAIN.fullmatch(word) for word in given):
            findings.append(Finding(f"/{name}", "must be domains, separated by commas"))
        return given

    chosen = Chosen(
        states=words("state", AGAIN) or ("failed",),
        categories=words("category", get_args(Category)),
        domains=words("domain", None),
    )
    if findings:
        raise invalid(findings)
    return chosen


def retry_failed(jobs: Jobs) -> Handler:
    """The handler of POST …/retry-failed: slice after slice, so that no write is long, however many failed."""

    async def handle(call: Call) -> Answer:
        campaign, _ = await jobs.find(call)
        arguments = read_arguments(call.query)
        chosen = read_chosen(arguments)
        items = await in_time(jobs.campaigns.choose(campaign.id, chosen))
        total = sum(each.count for each in items)
        if arguments.get("dryRun", "").lower() in ("true", "1"):
            return json_answer(200, RetryReply(True, total, show_shares(items).items))
        if not total:
            raise Problem("campaign-state", "No recipient of this campaign is like that.")
        await do(jobs, campaign.id, "retry", call.key.name, msgspec.to_builtins(chosen) | {"count": total})
        jobs.announcements.tell(campaign)
        cursor: str | None = None
        while True:
            again = jobs.campaigns.retry_slice(campaign.id, chosen, SLICE, jobs.expire, cursor)
            cursor = (await in_time(again)).cursor
            if cursor is None:
                return json_answer(200, jobs.show(*await jobs.find(call)))

    return handle
