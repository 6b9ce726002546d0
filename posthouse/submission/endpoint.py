"""One path of the API as an ASGI app: the checks in their binding order, then the handler, then the answer.

Order (DESIGN §6): auth 401/403 → rate limit 429 → size 413 → content type 415 → body 400. A method that is not there
(405) and a path that is not there (404) are answered to anybody: the table of routes is no secret.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from posthouse.batch import Full
from posthouse.mail.errors import StoreAway
from posthouse.store.catalog import ApiKey
from posthouse.submission.answers import Answer, Header, send_answer, send_stream
from posthouse.submission.auth import Keyring, KeyScope
from posthouse.submission.problems import Problem
from posthouse.submission.ratelimit import Limiter, Taken, exceeded
from posthouse.submission.reference.describe import Doc
from posthouse.submission.room import LARGE, Place, Room

RETRY_AFTER = b"5"
"""Seconds after which a caller may ask again when the store is away."""


class Call(msgspec.Struct, frozen=True):
    """A request that may be answered. Header names are lower case; the body is empty where the route takes none, or takes
    it in `chunks`, which raise Problem and Disconnected."""

    key: ApiKey
    path: Mapping[str, str]
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    chunks: AsyncIterator[bytes] | None = None


NOBODY = ApiKey(id="", name="", digest=b"", scopes=())
"""Whose key is not asked for."""

Handler = Callable[[Call], Awaitable[Answer]]


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A body that is not JSON: of one of these `media`, of at most `most` bytes if that is less than any body may have. A
    `streamed` one is handed on as it comes. `schema` (JSON Schema) and `example` are for the reference."""

    media: tuple[str, ...]
    schema: Mapping[str, Any]
    example: Any = None
    most: int | None = None
    streamed: bool = False


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the API: a line of the table in app. `request` is the Struct of its JSON body, if it takes one, `upload`
    tells of another. Without a `scope` there is no key and no limit: the handler has other means to tell who calls."""

    method: str
    path: str
    scope: KeyScope | None
    handler: Handler
    doc: Doc
    request: type[msgspec.Struct] | None = None
    upload: Upload | None = None


class OpenRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A path that anybody may GET, and that is never limited."""

    path: str
    handler: Callable[[], Awaitable[Answer]]
    doc: Doc


class Gate(msgspec.Struct, frozen=True):
    """What stands before every handler. Without a `limiter` requests are not counted; `max_body` is in bytes; `room` is
    for the bodies that are LARGE."""

    keys: Keyring
    limiter: Limiter | None
    max_body: int
    room: Room = msgspec.field(default_factory=Room)


class Disconnected(Exception):
    """The caller hung up before the request was whole."""


class Endpoint:
    """The routes of one path."""

    def __init__(self, gate: Gate, routes: Sequence[Route]) -> None:
        self._gate = gate
        self._routes = {route.method: route for route in routes}
        if "GET" in self._routes:
            self._routes["HEAD"] = self._routes["GET"]
        self._allow = (b"allow", ", ".join([*self._routes, "OPTIONS"]).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        limits: list[Header] = []
        try:
            reply = await self._answer(scope, receive, limits)
        except Problem as problem:
            reply = problem.answer()
        except (StoreAway, Full):
            reply = unavailable().answer()
        except Disconnected:
            return
        except Exception:
            structlog.get_logger().exception("request failed", method=method, path=self._shown(scope))
            reply = Problem(
                "internal", "It was logged. Nothing was accepted unless you were told so."
            ).answer()
        if reply.stream is not None:
            await send_stream(send, receive, reply, head=method == "HEAD", more=limits)
        else:
            await send_answer(send, reply, head=method == "HEAD", more=limits)

    async def _answer(self, scope: Scope, receive: Receive, limits: list[Header]) -> Answer:
        route = self._routes.get(scope["method"])
        if route is None:
            return self._no_method(scope["method"])
        headers = read_headers(scope["headers"])
        key = NOBODY
        if route.scope is not None:
            key = await self._gate.keys.identify(headers, route.scope)
        if self._gate.limiter is not None and route.scope is not None:
            taken = self._gate.limiter.take(key.id)
            if not isinstance(taken, Taken):
                taken = await taken
            limits += taken.headers
            if taken.wait:
                raise exceeded(taken.wait)
        place = Place(self._gate.room)
        try:
            body, chunks = b"", None
            if route.request is not None:
                body = await read_body(headers, receive, self._gate.max_body, place)
            elif route.upload is not None:
                chunks = _opened(headers, receive, self._gate.max_body, route.upload)
                if not route.upload.streamed:
                    body = b"".join([chunk async for chunk in chunks])
            return await route.handler(
                Call(key, scope.get("path_params", {}), scope["query_string"], headers, body, chunks)
            )
        finally:
            place.leave()

    def _shown(self, scope: Scope) -> str:
        """The path for a log: what stands in one that needs no key may be a secret."""
        route = self._routes.get(scope["method"])
        return route.path if route is not None and route.scope is None else scope["path"][:200]

    def _no_method(self, method: str) -> Answer:
        if method == "OPTIONS":
            return Answer(204, [self._allow])
        return Problem("method-not-allowed", "See Allow.", headers=[self._allow]).answer()


def read_headers(raw: Sequence[Header]) -> dict[bytes, bytes]:
    """Headers by name; one that comes several times is one list (RFC 9110 §5.3)."""
    headers = dict(raw)
    if len(headers) != len(raw):
        headers = {}
        for name, value in raw:
            headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, most: int, place: Place) -> bytes:
    """The body, if it is JSON and not too large; reading stops where it becomes so, and waits where there is no place
    for a large one. Raises Problem, Disconnected, Full."""
    length = headers.get(b"content-length")
    if length is None:
        body = await _read(receive, most, place)
        _check_type(headers)
        return body
    if len(length) > 15 or int(length) > most:
        raise _too_large(most)
    _check_type(headers)
    await place.claim(int(length))
    return await _read(receive, most, place)


async def _read(receive: Receive, most: int, place: Place) -> bytes:
    chunks: list[bytes] = []
    room = most
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = event.get("body", b"")
        room -= len(chunk)
        if room < 0:
            raise _too_large(most)
        if most - room > LARGE:  # its length was not told
            await place.claim(most)
        chunks.append(chunk)
        if not event.get("more_body"):
            return b"".join(chunks)


def _opened(
    headers: Mapping[bytes, bytes], receive: Receive, max_body: int, upload: Upload
) -> AsyncIterator[bytes]:
    """A body that is not JSON, in chunks, if it is of the right kind and not too large. Raises Problem."""
    most = max_body if upload.most is None else min(upload.most, max_body)
    length = headers.get(b"content-length")
    if length is not None and (len(length) > 15 or int(length) > most):
        raise _too_large(most)
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind not in upload.media:
        raise Problem("unsupported-media-type", f"Send {' or '.join(upload.media)}.")
    _check_encoding(headers)
    return _chunks(receive, most)


async def _chunks(receive: Receive, most: int) -> AsyncIterator[bytes]:
    room = most
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = event.get("body", b"")
        room -= len(chunk)
        if room < 0:
            raise _too_large(most)
        yield chunk
        if not event.get("more_body"):
            return


def _check_type(headers: Mapping[bytes, bytes]) -> None:
    given = headers.get(b"content-type", b"")
    if given != b"application/json":
        kind, _, parameters = given.lower().partition(b";")
        charset = parameters.replace(b" ", b"").replace(b'"', b"")
        if kind.strip() != b"application/json" or charset not in (b"", b"charset=utf-8", b"charset=utf8"):
            raise Problem("unsupported-media-type", "Send application/json in UTF-8.")
    _check_encoding(headers)


def _check_encoding(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
        raise Problem("unsupported-media-type", "Send the body without a content encoding.")


def _too_large(most: int) -> Problem:
    return Problem("too-large", f"The body must not exceed {most} bytes.")


def unavailable() -> Problem:
    """The store is away."""
    text = "The record store does not take anything right now. Repeat a send with the same Idempotency-Key."
    return Problem("unavailable", text, headers=[(b"retry-after", RETRY_AFTER)])
