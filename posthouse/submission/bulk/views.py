"""What campaigns look like outside (DESIGN §6): the Structs of the answers, which are their schema too."""

from typing import Annotated, Any

import msgspec

from posthouse.mail.campaign import Campaign, CampaignStatus, Counts, status
from posthouse.mail.lifecycle import State, Status
from posthouse.mail.message import Message
from posthouse.mail.outcome import Category
from posthouse.store.catalog.campaigns import Share
from posthouse.store.catalog.contacts import Headcount
from posthouse.store.catalog.trail import Entry
from posthouse.submission.times import show_time
from posthouse.submission.views import Time

UNFINISHED = 99
"""The most progress there is while the audience is not complete."""


def _says(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class BulkReply(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A campaign was taken; or, for a dry run, how many would get it, and nothing was kept."""

    success: bool
    job_id: Annotated[str | None, _says("Absent in a dry run.")] = None
    dry_run: bool = False
    total_count: Annotated[int | None, _says("Of a dry run: those whom it would be sent to now.")] = None
    at_least: Annotated[
        int | None,
        _says("Where people who have several of the roles were not told apart: totalCount is the most."),
    ] = None


class JobView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A campaign. The counts add up to totalCount in every answer; that is complete once `audienceComplete` is true."""

    id: str
    queue_job_id: Annotated[str | None, _says("The name of its job in the queue, where the queue has any.")]
    template_id: str
    template_version: int
    subject: Annotated[str | None, _says("What replaced the template's.")]
    status: CampaignStatus
    progress: Annotated[int, _says("Percent of the recipients that need no more work.")]
    total_count: int
    pending_count: int
    sending_count: int
    deferred_count: int
    sent_count: Annotated[int, _says("Sent, delivered and complained.")]
    failed_count: Annotated[int, _says("Failed and bounced.")]
    suppressed_count: int
    unknown_count: int
    canceled_count: int
    audience_complete: bool
    rate_per_second: Annotated[
        float | None, _says("Recipients closed in a second, of late; null while nothing is known.")
    ]
    expected_end: Annotated[Time | None, _says("When it is done, if it goes on like that.")]
    role_filter: list[str]
    priority: int
    rate: Annotated[str | None, _says("The most there may be: so many in so many seconds.")]
    scheduled_at: Time | None
    expires_at: Time | None
    started_at: Time | None
    completed_at: Time | None
    created_at: Time | None
    created_by: str
    variables: dict[str, Any]
    metadata: dict[str, Any]


class PlaceView(msgspec.Struct, frozen=True, rename="camel"):
    """Where the list goes on."""

    limit: int
    next_cursor: str | None


class JobsView(msgspec.Struct, frozen=True):
    """A page of campaigns, newest first."""

    items: list[JobView]
    pagination: PlaceView


class JobRecipientView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One recipient of a campaign; `id` is that of its mail."""

    id: str
    email: str
    status: Status
    state: State
    category: Annotated[
        Category | None, _says("The class of what its last attempt gave; null once it is sent.")
    ]
    code: Annotated[int | None, _says("The mail server's last reply.")]
    error: Annotated[str | None, _says("Why it failed, or waits.")]
    attempts: int
    sent_at: Time | None


class JobRecipientsView(msgspec.Struct, frozen=True):
    """A page of a campaign's recipients, newest first."""

    items: list[JobRecipientView]
    pagination: PlaceView


class ActView(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did with a campaign."""

    id: int
    at: Time
    act: Annotated[str, _says("created, started, paused, resumed, canceled or retried.")]
    by: Annotated[
        str, _says("The name of a key, the subject of a token, a worker, or who used the command line.")
    ]
    detail: dict[str, Any]


class ActsView(msgspec.Struct, frozen=True):
    """A page of what was done, the newest first."""

    items: list[ActView]
    pagination: PlaceView


class ShareView(msgspec.Struct, frozen=True):
    """How many recipients share a domain, a state and a class of failure."""

    domain: str
    state: State
    category: Annotated[
        str, _says("Why it failed or waits: address, mailbox_full, policy, network, …; or empty.")
    ]
    count: int


class BreakdownView(msgspec.Struct, frozen=True):
    """A campaign by domain, state and class, the most first."""

    items: list[ShareView]


class RetryReply(msgspec.Struct, frozen=True, rename="camel"):
    """What would be sent again: how many, and what they failed of."""

    dry_run: bool
    total_count: int
    items: list[ShareView]


def dry_reply(heads: Headcount) -> BulkReply:
    """What a dry run found."""
    least = None if heads.least == heads.most else heads.least
    return BulkReply(success=True, dry_run=True, total_count=heads.most, at_least=least)


def show_job(campaign: Campaign, counts: Counts, rate: float | None, now: int) -> JobView:
    """`rate` is recipients closed in a second; `now` microseconds."""
    left = None if not rate or counts.open == 0 or campaign.phase != "running" else counts.open / rate
    return JobView(
        id=campaign.id,
        queue_job_id=campaign.queue_job_id,
        template_id=campaign.template,
        template_version=campaign.version,
        subject=campaign.subject,
        status=status(campaign, counts),
        progress=counts.progress
        if campaign.ready
        else min(counts.progress, UNFINISHED)
        if counts.total
        else 0,
        total_count=counts.total,
        pending_count=counts.of("pending"),
        sending_count=counts.of("sending"),
        deferred_count=counts.of("deferred"),
        sent_count=counts.sent,
        failed_count=counts.failed,
        suppressed_count=counts.of("suppressed"),
        unknown_count=counts.of("unknown"),
        canceled_count=counts.of("canceled"),
        audience_complete=campaign.ready,
        rate_per_second=None if rate is None else round(rate, 1),
        expected_end=None if left is None else show_time(now + int(left * 1_000_000)),
        role_filter=list(campaign.roles),
        priority=campaign.priority,
        rate=None if campaign.rate is None else "{}/{}s".format(*campaign.rate),
        scheduled_at=show_time(campaign.scheduled_at),
        expires_at=show_time(campaign.expires_at),
        started_at=show_time(campaign.started_at),
        completed_at=show_time(campaign.completed_at),
        created_at=show_time(campaign.created_at),
        created_by=campaign.created_by,
        variables=campaign.variables,
        metadata=campaign.metadata,
    )


def show_recipient(message: Message) -> JobRecipientView:
    """A recipient is a mail of its own."""
    (recipient,) = message.recipients
    return JobRecipientView(
        id=message.id,
        email=recipient.email,
        status=message.status,
        state=message.state,
        category=recipient.category,
        code=recipient.code,
        error=message.error,
        attempts=message.attempts,
        sent_at=show_time(message.sent_at),
    )


def show_act(entry: Entry) -> ActView:
    """An entry of the trail."""
    at = show_time(entry.at)
    assert at is not None
    return ActView(id=entry.id, at=at, act=entry.act, by=entry.by, detail=entry.detail)


def show_shares(shares: list[Share]) -> BreakdownView:
    """The breakdown of a campaign."""
    return BreakdownView([ShareView(each.domain, each.state, each.category, each.count) for each in shares])
