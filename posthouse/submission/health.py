"""GET /livez and /readyz: whether the process runs, and whether it can do its work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec
import structlog

from posthouse.submission.answers import Answer, Header, json_answer
from posthouse.submission.endpoint import OpenRoute
from posthouse.submission.problems import Problem
from posthouse.submission.reference.describe import Doc, Reply

READY_SECONDS = 5.0

Ready = Callable[[], Awaitable[Mapping[str, str]]]
"""Gives the parts that are not ready, each with a reason that may be shown: `{"store": "away"}`, `{}` when all are."""

_NO_STORE: Header = (b"cache-control", b"no-store")


class Healthy(msgspec.Struct, frozen=True):
    """All is well."""

    status: Literal["ok"]


_WELL = Reply(status=200, text="All is well.", types=(Healthy,), headers=("Cache-Control",))

LIVE = Doc(
    operation="isAlive",
    group="Health",
    summary="Whether the process runs",
    text="Restart it when this does not answer.",
    replies=(_WELL,),
)

READY = Doc(
    operation="isReady",
    group="Health",
    summary="Whether it can do its work",
    text="Send it no requests while this is 503: its store is away, or it is stopping. `parts` names each with a reason.",
    replies=(_WELL,),
    problems=("not-ready",),
)


def health_routes(ready: Ready) -> list[OpenRoute]:
    """The routes of both."""
    return [
        OpenRoute(path="/livez", handler=_live, doc=LIVE),
        OpenRoute(path="/readyz", handler=lambda: _ready(ready), doc=READY),
    ]


async def _live() -> Answer:
    return json_answer(200, Healthy("ok"), [_NO_STORE])


async def _ready(ready: Ready) -> Answer:
    try:
        async with asyncio.timeout(READY_SECONDS):
            missing = await ready()
    except TimeoutError:
        missing = {"readiness": "no answer in time"}
    except Exception:
        structlog.get_logger().exception("readiness could not be asked")
        missing = {"readiness": "could not be asked"}
    if not missing:
        return json_answer(200, Healthy("ok"), [_NO_STORE])
    parts = [{"part": part, "detail": detail} for part, detail in missing.items()]
    text = f"Not ready: {', '.join(missing)}."
    headers = [(b"retry-after", b"1"), _NO_STORE]
    return Problem("not-ready", text, more={"parts": parts}, headers=headers).answer()
