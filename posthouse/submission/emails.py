"""GET /emails/{id} and POST /emails/{id}/retry: one mail, looked at and sent again."""

import re
from collections.abc import Callable, Sequence

from posthouse.mail.lifecycle import allows
from posthouse.mail.message import Content, Message
from posthouse.store.base import Store
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.problems import Problem
from posthouse.submission.views import show_email

_ID = re.compile("[!-~]{1,255}")


def get_email(store: Store, now: Callable[[], int]) -> Handler:
    """The handler of GET /emails/{id}."""

    async def handle(call: Call) -> Answer:
        message, content = await _find(store, call.path["id"])
        return json_answer(200, show_email(message, content, now()))

    return handle


def retry_email(
    store: Store, hint: Callable[[Sequence[Message]], None], expire: float, now: Callable[[], int]
) -> Handler:
    """The handler of POST /emails/{id}/retry; the mail then lives `expire` seconds more."""

    async def handle(call: Call) -> Answer:
        before, content = await _find(store, call.path["id"])
        if not any(allows(recipient.state, "retry") for recipient in before.recipients):
            raise Problem("nothing-to-retry", "No recipient of this mail has failed or is unknown.")
        message = await in_time(store.retry(before.id, expire))
        if message is None:
            raise _not_found()
        hint([message])
        return json_answer(200, show_email(message, content, now()))

    return handle


async def _find(store: Store, id: str) -> tuple[Message, Content | None]:
    found = await in_time(store.get(id)) if _ID.fullmatch(id) else None
    if found is None:
        raise _not_found()
    return found


def _not_found() -> Problem:
    return Problem("not-found", "There is no mail with this id.")
