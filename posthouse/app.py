"""Role api as an ASGI app: the table of routes, health, and what is answered where no route is.

Everything comes in as arguments; starting and stopping is the business of roles, so the app has no lifespan.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog
from starlette.routing import Route as Path
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from posthouse.mail.message import Message
from posthouse.store.base import Store
from posthouse.submission.accept import Accept
from posthouse.submission.answers import Answer, json_answer, send_answer
from posthouse.submission.compose import Rules
from posthouse.submission.emails import get_email, retry_email
from posthouse.submission.endpoint import Endpoint, Gate, Route
from posthouse.submission.logs import list_emails
from posthouse.submission.problems import Problem
from posthouse.submission.request import SendRequest
from posthouse.submission.send import SendReply, send_email

READY_SECONDS = 5.0

Ready = Callable[[], Awaitable[Mapping[str, str]]]
"""Gives the parts that are not ready, each with a reason that may be shown: `{"store": "away"}`, `{}` when all are."""


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """What the api role is made of. `expire` is how many seconds a mail lives on after a retry; `now` gives
    microseconds since 1970; `hint` tells the workers of mail that is due."""

    store: Store
    accept: Accept
    hint: Callable[[Sequence[Message]], None]
    gate: Gate
    rules: Rules
    ready: Ready
    now: Callable[[], int]
    expire: float = 86_400.0
    send_reply: SendReply = 202


def build_app(api: Api) -> ASGIApp:
    """The app of the role."""
    paths: dict[str, list[Route]] = {}
    for route in routes(api):
        paths.setdefault(route.path, []).append(route)
    guarded = {path: Endpoint(api.gate, each) for path, each in paths.items()}
    return _Paths({**guarded, **_health(api.ready)})


def build_health(ready: Ready) -> ASGIApp:
    """What a process without the api role serves."""
    return _Paths(_health(ready))


def _health(ready: Ready) -> dict[str, ASGIApp]:
    return {"/livez": _Open(_live), "/readyz": _Open(lambda: _ready(ready))}


def routes(api: Api) -> list[Route]:
    """The table of routes."""
    return [
        Route(
            method="POST",
            path="/email/send",
            scope="send",
            request=SendRequest,
            handler=send_email(api.accept, api.rules, api.send_reply, api.now),
            summary="Send a mail",
        ),
        Route(
            method="GET",
            path="/email/logs",
            scope="logs",
            handler=list_emails(api.store, api.now),
            summary="List mails, by page or by cursor",
        ),
        Route(
            method="GET",
            path="/emails/{id}",
            scope="logs",
            handler=get_email(api.store, api.now),
            summary="Show a mail",
        ),
        Route(
            method="POST",
            path="/emails/{id}/retry",
            scope="send",
            handler=retry_email(api.store, api.hint, api.expire, api.now),
            summary="Send a failed mail again",
        ),
    ]


class _Paths:
    """Finds a path without parameters by its name, which costs a tenth of a walk through the table; else walks."""

    def __init__(self, endpoints: Mapping[str, ASGIApp]) -> None:
        self._named = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
        table = [Path(path, endpoint) for path, endpoint in endpoints.items()]
        self._table = Router(table, redirect_slashes=False, default=_Unknown())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._named.get(scope["path"]) if scope["type"] == "http" else None
        await (endpoint or self._table)(scope, receive, send)


class _Open:
    """A path that anybody may GET, and that is never limited."""

    def __init__(self, handler: Callable[[], Awaitable[Answer]]) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        allow = (b"allow", b"GET, HEAD, OPTIONS")
        if method == "OPTIONS":
            reply = Answer(204, [allow])
        elif method not in ("GET", "HEAD"):
            reply = Problem("method-not-allowed", "See Allow.", headers=[allow]).answer()
        else:
            reply = await self._handler()
        await send_answer(send, reply, head=method == "HEAD", more=[(b"cache-control", b"no-store")])


class _Unknown:
    """Where no route is: 404 for anybody; websockets are not spoken."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        reply = Problem("not-found", "There is no such path.").answer()
        await send_answer(send, reply, head=scope["method"] == "HEAD")


async def _live() -> Answer:
    return json_answer(200, {"status": "ok"})


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
        return json_answer(200, {"status": "ok"})
    parts = [{"part": part, "detail": detail} for part, detail in missing.items()]
    text = f"Not ready: {', '.join(missing)}."
    return Problem("not-ready", text, more={"parts": parts}, headers=[(b"retry-after", b"1")]).answer()
