"""Role api as an ASGI app: the table of routes, and what is answered where no route is.

Everything comes in as arguments; starting and stopping is the business of roles, so the app has no lifespan.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from starlette.routing import Route as Path
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from posthouse.feedback.base import Hook
from posthouse.feedback.receive import Ears, webhook_route
from posthouse.feedback.unsubscribe import unsubscribe_routes
from posthouse.mail.message import Message
from posthouse.mail.retry import Policy
from posthouse.store.base import Reads, Store
from posthouse.store.catalog import Catalog
from posthouse.store.catalog.contacts import Contacts
from posthouse.submission.accept import Accept
from posthouse.submission.answers import Answer, send_answer
from posthouse.submission.bulk.create import Bulk
from posthouse.submission.bulk.routes import bulk_routes
from posthouse.submission.compose import Rules
from posthouse.submission.contacts.routes import contact_routes
from posthouse.submission.emails import GET, MARK_SENT, RETRY, get_email, mark_email_sent, retry_email
from posthouse.submission.endpoint import Endpoint, Gate, OpenRoute, Route
from posthouse.submission.explain import EXPLAIN, explain_email
from posthouse.submission.health import Ready, health_routes
from posthouse.submission.logs import LIST, list_emails
from posthouse.submission.metrics import NOT_WATCHED, OpenHere, Watching, far_route, near_route
from posthouse.submission.pinned import Pin
from posthouse.submission.problems import Problem
from posthouse.submission.reference.routes import reference_routes
from posthouse.submission.request import SendRequest
from posthouse.submission.send import SEND, SendReply, send_email
from posthouse.submission.suppressions.routes import suppression_routes
from posthouse.submission.templates.routes import template_routes
from posthouse.submission.templates.shelf import Shelf
from posthouse.submission.unsettled.routes import unsettled_routes
from posthouse.suppressed import SuppressionList

UNMATCHED = "unmatched"
"""What counts as the route of a path that is not there."""


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """What the api role is made of. `expire` is how many seconds a mail lives on after a retry; `now` gives
    microseconds since 1970; `policy` is the workers'; `hint` tells the workers of mail that is due; `reads` is
    where lists are read, if not from the store; `bulk` is None where the store keeps no campaigns; `shelf` has the templates
    of the catalog, and `pin` finds the one that a mail names; `suppressed` is the suppression list, `link_keys` open the
    links by which people unsubscribe."""

    store: Store
    catalog: Catalog
    accept: Accept
    hint: Callable[[Sequence[Message]], None]
    gate: Gate
    rules: Rules
    ready: Ready
    now: Callable[[], int]
    watching: Watching = NOT_WATCHED
    policy: Policy = Policy()
    expire: float = 86_400.0
    send_reply: SendReply = 202
    hooks: Sequence[Hook] = ()
    bulk: Bulk | None = None
    contacts: Contacts
    shelf: Shelf
    pin: Pin | None = None
    suppressed: SuppressionList
    link_keys: Sequence[bytes] = ()
    reads: Reads | None = None


def build_app(api: Api) -> ASGIApp:
    """The app of the role."""
    table = routes(api)
    paths: dict[str, list[Route]] = {}
    for route in table:
        paths.setdefault(route.path, []).append(route)
    guarded = {path: Endpoint(api.gate, each) for path, each in paths.items()}
    metrics = _metrics(api.gate, api.watching)
    return _Paths({**guarded, **_open(open_routes(api, table)), **metrics}, api.watching)


def build_health(ready: Ready, gate: Gate, watching: Watching) -> ASGIApp:
    """What a process without the api role serves."""
    return _Paths({**_open(health_routes(ready)), **_metrics(gate, watching)}, watching)


def _metrics(gate: Gate, watching: Watching) -> dict[str, ASGIApp]:
    near, far = near_route(watching), far_route(watching)
    return {near.path: OpenHere(_Open(near.handler), Endpoint(gate, [far]))}


def _open(table: Sequence[OpenRoute]) -> dict[str, ASGIApp]:
    return {route.path: _Open(route.handler) for route in table}


def open_routes(api: Api, table: Sequence[Route]) -> list[OpenRoute]:
    """The table of routes without a key, among them the reference of these and those in `table`."""
    others = [*health_routes(api.ready), near_route(api.watching)]
    return [*others, *reference_routes(table, others)]


def routes(api: Api) -> list[Route]:
    """The table of routes with a key."""
    ears = Ears(api.store, api.suppressed, api.catalog, api.now)
    return [
        Route(
            method="POST",
            path="/email/send",
            scope="send",
            request=SendRequest,
            handler=send_email(api.accept, api.rules, api.send_reply, api.now, api.pin),
            doc=SEND,
        ),
        Route(
            method="GET",
            path="/email/logs",
            scope="logs",
            handler=list_emails(api.reads or api.store, api.now),
            doc=LIST,
        ),
        Route(
            method="GET",
            path="/emails/{id}",
            scope="logs",
            handler=get_email(api.store, api.now),
            doc=GET,
        ),
        Route(
            method="GET",
            path="/emails/{id}/explain",
            scope="logs",
            handler=explain_email(api.store, api.policy, api.now),
            doc=EXPLAIN,
        ),
        Route(
            method="POST",
            path="/emails/{id}/retry",
            scope="send",
            handler=retry_email(api.store, api.hint, api.expire, api.now),
            doc=RETRY,
        ),
        Route(
            method="POST",
            path="/emails/{id}/mark-sent",
            scope="send",
            handler=mark_email_sent(api.store, api.now),
            doc=MARK_SENT,
        ),
        *unsettled_routes(api.store, api.catalog, api.hint, api.expire),
        *bulk_routes(api.bulk, api.reads or api.store),
        *template_routes(api.shelf),
        *contact_routes(api.contacts),
        *suppression_routes(api.catalog, api.suppressed, api.now),
        *unsubscribe_routes(api.suppressed, api.link_keys),
        *(webhook_route(hook, ears) for hook in api.hooks),
    ]


class _Paths:
    """Finds a path without parameters by its name, which costs a tenth of a walk through the table; else walks."""

    def __init__(self, endpoints: Mapping[str, ASGIApp], watching: Watching) -> None:
        watched = {path: watching.route(path, endpoint) for path, endpoint in endpoints.items()}
        self._named = {path: endpoint for path, endpoint in watched.items() if "{" not in path}
        table = [Path(path, endpoint) for path, endpoint in watched.items()]
        unknown = watching.route(UNMATCHED, _Unknown())
        self._table = Router(table, redirect_slashes=False, default=unknown)

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
        await send_answer(send, reply, head=method == "HEAD")


class _Unknown:
    """Where no route is: 404 for anybody; websockets are not spoken."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        reply = Problem("not-found", "There is no such path.").answer()
        await send_answer(send, reply, head=scope["method"] == "HEAD")
