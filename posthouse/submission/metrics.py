"""GET /metrics, as Prometheus reads it: open to callers on this machine, else for keys with the scope admin.

A caller is on this machine when its address is one of the loopback and no proxy says that it asks for somebody else.
"""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, ip_address

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from posthouse.submission.answers import Answer, answer
from posthouse.submission.endpoint import Call, OpenRoute, Route
from posthouse.submission.reference.describe import Doc, Reply

PATH = "/metrics"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FORWARDED = frozenset((b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"))

METRICS = Doc(
    operation="showMetrics",
    group="Health",
    summary="Metrics for Prometheus",
    text="In its text format. Callers on the server's own machine need no key; all others one with the scope `admin`.",
    replies=(
        Reply(
            status=200,
            text="All metrics.",
            media=MEDIA_TYPE,
            headers=("Cache-Control",),
            maybe=("RateLimit", "RateLimit-Policy"),
        ),
    ),
    problems=("unauthorized", "forbidden", "quota-exceeded"),
)


async def _nothing() -> bytes:
    return b""


class Watching(msgspec.Struct, frozen=True):
    """What counts: `scrape` gives the text of /metrics; `route` wraps the app of a route template, so that its answers
    are counted; `took` hears how many seconds the mails of a batch waited for their commit. By default nothing does."""

    scrape: Callable[[], Awaitable[bytes]] = _nothing
    route: Callable[[str, ASGIApp], ASGIApp] = lambda route, app: app
    took: Callable[[Sequence[float]], None] = lambda seconds: None


NOT_WATCHED = Watching()


def near_route(watching: Watching) -> OpenRoute:
    """The route as it is for callers on this machine."""
    return OpenRoute(path=PATH, handler=lambda: _show(watching), doc=METRICS)


def far_route(watching: Watching) -> Route:
    """The same for callers from elsewhere."""

    async def handle(_: Call) -> Answer:
        return await _show(watching)

    return Route(method="GET", path=PATH, scope="admin", handler=handle, doc=METRICS)


class OpenHere:
    """Asks `near` for callers on this machine, `far` for all others."""

    def __init__(self, near: ASGIApp, far: ASGIApp) -> None:
        self._near, self._far = near, far

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._near if from_here(scope) else self._far)(scope, receive, send)


def from_here(scope: Scope) -> bool:
    """Whether the caller is on this machine and asks for itself."""
    client = scope.get("client")
    if client is None or any(name in _FORWARDED for name, _ in scope["headers"]):
        return False
    try:
        address = ip_address(client[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


async def _show(watching: Watching) -> Answer:
    return answer(200, await watching.scrape(), MEDIA_TYPE.encode(), [(b"cache-control", b"no-store")])
