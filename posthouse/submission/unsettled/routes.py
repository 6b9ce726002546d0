"""The work lists over HTTP: list, count, and settle many at once (one mail: submission.emails).

Rules: who settled what stands in each mail's history, written with it, and in the trail, with how many there were.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args

import msgspec

from posthouse.mail.message import Message
from posthouse.mail.outcome import Category
from posthouse.mail.unsettled import UNSETTLED, Resolution, Unsettled, Which, resolvable
from posthouse.store.base import Store
from posthouse.store.catalog.trail import Deed, Trail
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.endpoint import Call, Handler, Route
from posthouse.submission.logs import MAX_FILTER, read_arguments
from posthouse.submission.paging import CURSOR, LIST_LIMIT, read_place
from posthouse.submission.problems import Finding, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.submission.unsettled.views import CountsView, SettledView, UnsettledView, show_left
from posthouse.submission.unsettled.walk import counted, listed, slices

ALL = "/api/emails/unsettled"
DONE: dict[Resolution, str] = {"retry": "retried", "mark_sent": "marked_sent"}
"""What is done, as the trail has it."""

_DOMAIN = re.compile("[!-+\\--~]{1,255}")
_FILTER = Annotated[str, msgspec.Meta(max_length=MAX_FILTER)]
_STATES = f"separated by commas, of {', '.join(UNSETTLED)}"

CATEGORY = Parameter("category", _FILTER, "Only those of these classes, such as mailbox_full,policy.")
DOMAIN = Parameter("domain", _FILTER, "Only those at these domains, separated by commas.")
STATE = Parameter("state", _FILTER, f"Only these, {_STATES}; default failed.")
DRY_RUN = Parameter("dryRun", bool, "Change nothing: only tell how many there are.")

LIST = Doc(
    operation="listUnsettled",
    group="Records",
    summary="List what is left for a person",
    text="Mail with a recipient whose outcome is unknown, or that failed for good: newest first.",
    parameters=(
        LIST_LIMIT,
        CURSOR,
        Parameter("state", Unsettled, "Which of the two lists; default failed."),
        CATEGORY,
        DOMAIN,
    ),
    replies=(Reply(status=200, text="A page.", types=(UnsettledView,)),),
    problems=("validation",),
)
COUNT = Doc(
    operation="countUnsettled",
    group="Records",
    summary="Count what is left for a person",
    text="By domain, state and class of failure.",
    parameters=(Parameter("state", _FILTER, f"Only these, {_STATES}; default both."), CATEGORY, DOMAIN),
    replies=(Reply(status=200, text="How many there are.", types=(CountsView,)),),
    problems=("validation",),
)
RETRY = Doc(
    operation="retryUnsettled",
    group="Records",
    summary="Send what is left again",
    text="Exactly those that are chosen become due again, under the same Message-ID, with a fresh budget.",
    parameters=(STATE, CATEGORY, DOMAIN, DRY_RUN),
    replies=(
        Reply(status=200, text="What was settled; or what a dry run found.", types=(SettledView, CountsView)),
    ),
    problems=("validation",),
)
MARK_SENT = Doc(
    operation="markUnsettledSent",
    group="Records",
    summary="Settle unknown outcomes as sent",
    text="It is known, from the provider or the recipients, that these have arrived: they are SENT, and never sent again.",
    parameters=(CATEGORY, DOMAIN, DRY_RUN),
    replies=(
        Reply(status=200, text="What was settled; or what a dry run found.", types=(SettledView, CountsView)),
    ),
    problems=("validation",),
)


def unsettled_routes(
    store: Store, trail: Trail, hint: Callable[[Sequence[Message]], None], expire: float
) -> list[Route]:
    """All of them; retried mail lives `expire` seconds more."""
    settling = _Settling(store, trail, hint, expire)
    table: list[tuple[str, str, Handler, Doc]] = [
        ("GET", ALL, list_left(store), LIST),
        ("GET", f"{ALL}/counts", count_left(store), COUNT),
        ("POST", f"{ALL}/retry", settle_left(settling, "retry"), RETRY),
        ("POST", f"{ALL}/mark-sent", settle_left(settling, "mark_sent"), MARK_SENT),
    ]
    return [Route(method=m, path=p, scope="bulk", handler=h, doc=d) for m, p, h, d in table]


class _Settling(msgspec.Struct, frozen=True):
    store: Store
    trail: Trail
    hint: Callable[[Sequence[Message]], None]
    expire: float


def list_left(store: Store) -> Handler:
    """The handler of GET /api/emails/unsettled."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        limit, cursor = read_place(arguments)
        which = read_which(arguments, ("failed",))
        if len(which.states) > 1:
            raise invalid([Finding("/state", f"must be one of {', '.join(UNSETTLED)}")])
        state: Unsettled = "unknown" if "unknown" in which.states else "failed"
        found, place = await listed(store, state, which, limit, cursor)
        return json_answer(200, UnsettledView([show_left(each, which) for each in found], place))

    return handle


def count_left(store: Store) -> Handler:
    """The handler of GET …/counts."""

    async def handle(call: Call) -> Answer:
        return json_answer(200, await counted(store, read_which(read_arguments(call.query), UNSETTLED)))

    return handle


def settle_left(settling: _Settling, how: Resolution) -> Handler:
    """The handler of POST …/retry and …/mark-sent: slice after slice, so that no write is long, however many there are."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        if how == "mark_sent":
            arguments["state"] = "unknown"
        which = read_which(arguments, ("failed",))
        if arguments.get("dryRun") == "true":
            return json_answer(200, await counted(settling.store, which))
        return json_answer(200, await _settle(settling, how, which, call.key.by))

    return handle


async def _settle(settling: _Settling, how: Resolution, which: Which, by: str) -> SettledView:
    recipients = messages = 0
    try:
        async for part in slices(settling.store, which):
            left = {each.id: len(resolvable(each, how, which)) for each in part}
            if not left:
                continue
            done = await in_time(settling.store.resolve(list(left), how, which, by, settling.expire))
            recipients += sum(left[each.id] for each in done)
            messages += len(done)
            if how == "retry" and done:
                settling.hint(done)
    finally:  # also what was done before the store went away
        if messages:
            detail = msgspec.to_builtins(which) | {"recipients": recipients, "messages": messages}
            await in_time(settling.trail.note(by, Deed(DONE[how], f"mail:{','.join(which.states)}", detail)))
    return SettledView(recipients, messages)


def read_which(arguments: dict[str, str], states: tuple[Unsettled, ...]) -> Which:
    """Which recipients are meant, these states where none is named; raises Problem naming every wrong argument."""
    findings: list[Finding] = []

    def words(name: str) -> tuple[Any, ...]:
        return tuple(word for word in arguments.get(name, "").lower().split(",") if word)

    known: dict[str, tuple[str, ...]] = {"state": UNSETTLED, "category": get_args(Category)}
    for name, all_of_them in known.items():
        if not set(words(name)) <= set(all_of_them):
            findings.append(Finding(f"/{name}", f"must be of {', '.join(all_of_them)}"))
    if not all(_DOMAIN.fullmatch(word) for word in words("domain")):
        findings.append(Finding("/domain", "must be domains, separated by commas"))
    if arguments.get("dryRun", "false") not in ("true", "false"):  # a slip must not settle anything
        findings.append(Finding("/dryRun", "must be true or false"))
    if findings:
        raise invalid(findings)
    return Which(words("state") or states, words("category"), words("domain"))
