"""GET /emails/{id}/explain: why a mail is where it is, what happens next and when."""

from collections.abc import Callable

import msgspec

from posthouse.mail.explain import explain
from posthouse.mail.lifecycle import State, Status
from posthouse.mail.message import SECOND, Message
from posthouse.mail.retry import Policy
from posthouse.store.base import Store
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.emails import MAIL_ID, find
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.reference import examples
from posthouse.submission.reference.describe import Doc, Reply


class Explanation(msgspec.Struct, frozen=True):
    """A mail's state in sentences, for a person to read; their words may change."""

    id: str
    status: Status
    state: State
    explanation: list[str]


def _example() -> Explanation:
    return _explained(examples.sent(), examples.AT + 300 * SECOND, Policy())


EXPLAIN = Doc(
    operation="explainEmail",
    group="Records",
    summary="Explain a mail",
    text="Why it is where it is, what happens next and when, in plain sentences.",
    parameters=(MAIL_ID,),
    replies=(Reply(status=200, text="The sentences.", types=(Explanation,), example=_example),),
)


def explain_email(store: Store, policy: Policy, now: Callable[[], int]) -> Handler:
    """The handler of GET /emails/{id}/explain; `policy` is the one that the workers keep to."""

    async def handle(call: Call) -> Answer:
        message, _ = await find(store, call.path["id"])
        return json_answer(200, _explained(message, now(), policy))

    return handle


def _explained(message: Message, now: int, policy: Policy) -> Explanation:
    return Explanation(message.id, message.status, message.state, explain(message, now, policy))
