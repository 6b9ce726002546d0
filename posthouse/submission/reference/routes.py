"""GET /openapi.json and GET /docs: the reference, made once, when it is first asked for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from posthouse.submission.answers import JSON, Answer, Header, answer
from posthouse.submission.endpoint import OpenRoute, Route
from posthouse.submission.reference.describe import Doc, Reply
from posthouse.submission.reference.document import Json, make_document
from posthouse.submission.reference.page import render_page

_KEPT: Header = (b"cache-control", b"max-age=300")
_SAFE: Sequence[Header] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

OPENAPI = Doc(
    operation="getOpenapi",
    group="Reference",
    summary="This description as OpenAPI 3.1",
    replies=(Reply(status=200, text="The document.", media="application/json", headers=("Cache-Control",)),),
)

DOCS = Doc(
    operation="getDocs",
    group="Reference",
    summary="This description as a page",
    text="One page, without scripts, which asks for nothing else.",
    replies=(
        Reply(
            status=200,
            text="The page.",
            media="text/html",
            headers=("Cache-Control", "Content-Security-Policy"),
        ),
    ),
)


def reference_routes(routes: Sequence[Route], others: Sequence[OpenRoute]) -> list[OpenRoute]:
    """The two routes; they describe `routes`, the open `others`, and themselves."""

    def document() -> Json:
        return make_document(routes, [*others, *ours])

    ours = [
        OpenRoute(path="/openapi.json", doc=OPENAPI, handler=_once(lambda: _as_json(document()))),
        OpenRoute(path="/docs", doc=DOCS, handler=_once(lambda: _as_page(document()))),
    ]
    return ours


def _once(make: Callable[[], Answer]) -> Callable[[], Awaitable[Answer]]:
    """A handler that makes its answer in a thread, since that takes longer than the loop may wait, and keeps it."""
    kept: list[Answer] = []

    async def handle() -> Answer:
        if not kept:
            kept.append(await asyncio.to_thread(make))
        return kept[0]

    return handle


def _as_json(document: Json) -> Answer:
    return answer(200, msgspec.json.encode(document), JSON, [_KEPT])


def _as_page(document: Json) -> Answer:
    page = render_page(document)
    headers = [_KEPT, *_SAFE, (b"content-security-policy", page.policy.encode())]
    return answer(200, page.html.encode(), b"text/html; charset=utf-8", headers)
