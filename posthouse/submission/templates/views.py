"""What templates look like outside: the Structs of the answers, which are their schema too."""

from typing import Annotated, Any

import msgspec

from posthouse.mail.campaign import Campaign, CampaignStatus, Counts, status
from posthouse.mail.message import Content
from posthouse.mail.template import BUILT_IN, Made
from posthouse.store.catalog.templates import Head, Version
from posthouse.submission.bulk.views import PlaceView
from posthouse.submission.times import show_time
from posthouse.submission.views import Time


def _says(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class HeadView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version of a template, without its content."""

    id: str
    version: int
    subject: str | None
    created_at: Time | None
    created_by: str


class PushedView(HeadView, frozen=True, kw_only=True, rename="camel"):
    """What a push made, or found."""

    created: Annotated[bool, _says("Whether it is new; what equals the newest version adds none.")]
    variables: Annotated[list[str], _says("Those that it names, beside the ones that are always there.")]
    required: Annotated[list[str], _says("Those of them that nothing stands in for.")]


class TemplateView(HeadView, frozen=True, kw_only=True, rename="camel"):
    """A version of a template, all of it, as it was written."""

    html: str | None
    mjml: str | None
    text: str | None
    defaults: dict[str, Any]
    variables: Annotated[list[str], _says("Those that it names, beside the ones that are always there.")]
    required: Annotated[list[str], _says("Those of them that nothing stands in for.")]


class TemplatesView(msgspec.Struct, frozen=True):
    """A page of templates, or of the versions of one."""

    items: list[HeadView]
    pagination: PlaceView


class PreviewView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What it gives, made as mail is; or why it gives nothing."""

    version: Annotated[int | None, _says("null for one that is not pushed.")]
    subject: str | None
    html: str | None
    text: str | None
    usable: Annotated[bool, _says("Whether it could be pushed; what fails then fails with these variables.")]
    fault: Annotated[str | None, _says("What is wrong, with the file and the line.")]
    missing: Annotated[list[str], _says("Variables that it needs and that were not given.")]
    unknown: Annotated[list[str], _says("Variables that were given and that it does not name.")]
    variables: list[str]
    required: list[str]


class UseView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A campaign that used it, and for how many."""

    job_id: str
    template_version: int
    status: CampaignStatus
    total_count: int
    sent_count: Annotated[int, _says("Sent, delivered and complained.")]
    created_at: Time | None
    created_by: str


class UsesView(msgspec.Struct, frozen=True):
    """A page of campaigns, newest first."""

    items: list[UseView]
    pagination: PlaceView


def _head(head: Head) -> dict[str, Any]:
    return {
        "id": head.template,
        "version": head.version,
        "subject": head.subject,
        "created_at": show_time(head.at),
        "created_by": head.by,
    }


def show_head(head: Head) -> HeadView:
    """A version in a list."""
    return HeadView(**_head(head))


def show_pushed(head: Head, made: Made, created: bool) -> PushedView:
    """The version that a push made or found."""
    return PushedView(
        **_head(head), created=created, variables=list(made.variables), required=list(made.required)
    )


def show_template(version: Version) -> TemplateView:
    """A version, all of it."""
    source, made = version.source, version.made
    return TemplateView(
        **_head(version.head),
        html=source.html,
        mjml=source.mjml,
        text=source.text,
        defaults=source.defaults,
        variables=list(made.variables),
        required=list(made.required),
    )


def show_preview(
    version: int | None, made: Made | None, given: dict[str, Any], content: Content | None, fault: str | None
) -> PreviewView:
    """`content` is what was made of it, None where that failed with `fault`."""
    variables, required = (made.variables, made.required) if made else ((), ())
    return PreviewView(
        version=version,
        subject=content and content.subject,
        html=content and content.html,
        text=content and content.text,
        usable=made is not None,
        fault=fault,
        missing=sorted(set(required) - set(given)),
        unknown=sorted(set(given) - set(variables) - set(BUILT_IN)) if made else [],
        variables=list(variables),
        required=list(required),
    )


def show_use(campaign: Campaign, counts: Counts) -> UseView:
    """A campaign that used it."""
    return UseView(
        job_id=campaign.id,
        template_version=campaign.version,
        status=status(campaign, counts),
        total_count=counts.total,
        sent_count=counts.sent,
        created_at=show_time(campaign.created_at),
        created_by=campaign.created_by,
    )
