"""GET /emails/{id}, POST /emails/{id}/retry and …/mark-sent: one mail, looked at and settled by a person."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from posthouse.mail.lifecycle import allows
from posthouse.mail.message import Content, Message
from posthouse.mail.retention import has_body
from posthouse.mail.unsettled import Which
from posthouse.store.base import Store
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.problems import Problem
from posthouse.submission.reference import examples
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.submission.views import EmailView, show_email

_ID = re.compile("[!-~]{1,255}")

MAIL_ID = Parameter(
    "id",
    Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[!-.0-~]+$")],
    "The id of a mail: its `X-Message-Id`.",
    where="path",
    example=examples.ID,
)

GET = Doc(
    operation="getEmail",
    group="Records",
    summary="Show a mail",
    text="Everything that is known of it: each recipient's own state, and what happened when.",
    parameters=(MAIL_ID,),
    replies=(Reply(status=200, text="The record.", types=(EmailView,), example=examples.sent_email),),
)

RETRY = Doc(
    operation="retryEmail",
    group="Sending",
    summary="Send a failed mail again",
    text="Its failed and unknown recipients become due again, under the same Message-ID; the others are left alone.",
    parameters=(MAIL_ID,),
    replies=(
        Reply(
            status=200,
            text="The record, with those recipients pending.",
            types=(EmailView,),
            example=examples.accepted_email,
        ),
    ),
    problems=("nothing-to-retry",),
)

MARK_SENT = Doc(
    operation="markEmailSent",
    group="Records",
    summary="Settle an unknown outcome as sent",
    text="It is known that its recipients of unknown outcome have it: they are SENT, and never sent to again.",
    parameters=(MAIL_ID,),
    replies=(Reply(status=200, text="The record.", types=(EmailView,), example=examples.sent_email),),
    problems=("nothing-unknown",),
)


def get_email(store: Store, now: Callable[[], int]) -> Handler:
    """The handler of GET /emails/{id}."""

    async def handle(call: Call) -> Answer:
        message, content = await find(store, call.path["id"])
        return json_answer(200, show_email(message, content, now()))

    return handle


def retry_email(
    store: Store, hint: Callable[[Sequence[Message]], None], expire: float, now: Callable[[], int]
) -> Handler:
    """The handler of POST /emails/{id}/retry; the mail then lives `expire` seconds more."""

    async def handle(call: Call) -> Answer:
        before, content = await find(store, call.path["id"])
        if not any(allows(recipient.state, "retry") for recipient in before.recipients):
            raise Problem("nothing-to-retry", "No recipient of this mail has failed or is unknown.")
        if not has_body(content):
            raise Problem("nothing-to-retry", "Its content is no longer kept, so it cannot be sent again.")
        retried = await in_time(store.resolve([before.id], "retry", Which(), call.key.by, expire))
        hint(retried)
        message, content = await find(store, before.id)
        return json_answer(200, show_email(message, content, now()))

    return handle


def mark_email_sent(store: Store, now: Callable[[], int]) -> Handler:
    """The handler of POST /emails/{id}/mark-sent."""

    async def handle(call: Call) -> Answer:
        before, _ = await find(store, call.path["id"])
        if not await in_time(store.resolve([before.id], "mark_sent", Which(), call.key.by, 0)):
            raise Problem("nothing-unknown", "No recipient of this mail has an unknown outcome.")
        message, content = await find(store, before.id)
        return json_answer(200, show_email(message, content, now()))

    return handle


async def find(store: Store, id: str) -> tuple[Message, Content | None]:
    """The mail of an id with its content; raises the problem `not-found`."""
    found = await in_time(store.get(id)) if _ID.fullmatch(id) else None
    if found is None:
        raise _not_found()
    return found


def _not_found() -> Problem:
    return Problem("not-found", "There is no mail with this id.")
