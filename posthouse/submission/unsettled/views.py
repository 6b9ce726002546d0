"""What is shown of the work lists: the Structs, which are the schema too."""

from typing import Annotated

import msgspec

from posthouse.mail.unsettled import Unsettled, Which, chosen
from posthouse.store.base import Listed
from posthouse.submission.bulk.views import PlaceView, ShareView
from posthouse.submission.request import says
from posthouse.submission.times import show_time
from posthouse.submission.views import Time


class LeftView(msgspec.Struct, frozen=True, rename="camel"):
    """A recipient that is left."""

    email: str
    state: Unsettled
    category: str | None
    code: int | None
    error: str | None
    attempts: int
    uncertain: Annotated[int, says("How many of the attempts had an unknown outcome.")]
    at: Time | None


class LeftMailView(msgspec.Struct, frozen=True, rename="camel"):
    """A mail of a work list, and those of its recipients that it is there for."""

    id: str
    message_id: str
    subject: str | None
    campaign: str | None
    created_at: Time | None
    recipients: list[LeftView]


class UnsettledView(msgspec.Struct, frozen=True):
    """A page of a work list, newest first."""

    items: list[LeftMailView]
    pagination: PlaceView


class CountsView(msgspec.Struct, frozen=True, rename="camel"):
    """How many recipients are left, by domain, state and class of failure."""

    total_count: int
    message_count: Annotated[int, says("How many mails they are of.")]
    complete: Annotated[
        bool, says("Whether all were counted: false where there are more mails than are looked at.")
    ]
    items: list[ShareView]


class SettledView(msgspec.Struct, frozen=True, rename="camel"):
    """What was settled."""

    total_count: Annotated[int, says("Recipients.")]
    message_count: Annotated[int, says("Mails that they are of.")]


def show_left(listed: Listed, which: Which) -> LeftMailView:
    """A mail of a work list."""
    message, content = listed.message, listed.content
    return LeftMailView(
        id=message.id,
        message_id=message.message_id,
        subject=content and content.subject,
        campaign=message.campaign,
        created_at=show_time(message.created_at),
        recipients=[
            LeftView(
                email=each.email,
                state="unknown" if each.state == "unknown" else "failed",
                category=each.category,
                code=each.code,
                error=each.error,
                attempts=each.attempts,
                uncertain=each.uncertain,
                at=show_time(each.at),
            )
            for each in chosen(message, which)
        ],
    )
