"""What stands in the jobs: `send` with ids is a hint of ours, `send` with a mail is a foreign producer's, `send-email`
(or `send-bulk`) with an emailJobId is a campaign.

Rules: a hint of the transactional lane has no priority, so it runs first. Attempts are those of our handler, not those
of the mail. Finished jobs are trimmed.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from posthouse.mail.message import LANES, Lane
from posthouse.queue.base import Hint, Unreadable

SEND = "send"
CAMPAIGN = ("send-email", "send-bulk")
"""The names that a campaign's job may have; the first is ours."""
MOST_IDS = 100
"""Messages in one job of ours, at most."""
PRIORITY: dict[Lane, int] = {"transactional": 0, "bulk": 10}
KEEP_COMPLETED = {"count": 100}
KEEP_FAILED = {"count": 10_000}
OPTIONS: dict[str, Any] = {
    "attempts": 3,
    "backoff": {"type": "exponential", "delay": 1000},
    "removeOnComplete": KEEP_COMPLETED,
    "removeOnFail": KEEP_FAILED,
}

_Id = Annotated[str, msgspec.Meta(pattern="^[!-~]{1,255}$")]


class _Hint(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    ids: Annotated[list[_Id], msgspec.Meta(max_length=10_000)]
    lane: Lane = "transactional"


class _Campaign(msgspec.Struct, rename="camel"):
    email_job_id: _Id


class _Any(msgspec.Struct):
    ids: Any = None


def write(hints: Sequence[Hint]) -> list[dict[str, Any]]:
    """The jobs that tell these hints: under load the batch is the job."""
    return [
        {"name": SEND, "data": msgspec.to_builtins(_Hint(ids, lane)), "opts": {"priority": PRIORITY[lane]}}
        for lane in LANES
        for ids in _chunks([hint for hint in hints if hint.lane == lane])
    ]


def write_campaign(campaign: str) -> dict[str, Any]:
    """The job of a campaign."""
    data = msgspec.to_builtins(_Campaign(campaign))
    return {"name": CAMPAIGN[0], "data": data, "opts": {"priority": PRIORITY["bulk"]}}


def read_campaign(data: bytes) -> str:
    """The id of a job's campaign; raises Unreadable."""
    try:
        return msgspec.json.decode(data, type=_Campaign).email_job_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable('the data must be {"emailJobId": the id of a campaign}') from None


def read(name: str, data: bytes) -> Hint | None:
    """The hint of a job, or None where it carries a mail; raises Unreadable."""
    if name != SEND:
        raise Unreadable(f"there are no jobs of this name here (known: {', '.join((SEND, *CAMPAIGN))})")
    try:
        if msgspec.json.decode(data, type=_Any).ids is None:
            return None
        hint = msgspec.json.decode(data, type=_Hint)
    except msgspec.ValidationError:
        raise Unreadable("the data must be {ids: [an id, …]}, or a mail: {to, subject, body, …}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("the data is not JSON") from None
    return Hint(hint.lane, tuple(hint.ids))


def _chunks(hints: Sequence[Hint]) -> Iterator[list[str]]:
    """All ids in as few jobs as they fit; a hint without ids (whatever is due) is a job without."""
    if any(not hint.ids for hint in hints):
        yield []
    ids = list(dict.fromkeys(id for hint in hints for id in hint.ids))
    for start in range(0, len(ids), MOST_IDS):
        yield ids[start : start + MOST_IDS]
