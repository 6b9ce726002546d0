"""What a handler answers: status, headers and body in one piece, sent as two ASGI events."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.types import Send

Header = tuple[bytes, bytes]

JSON = b"application/json"


class Answer(NamedTuple):
    """A whole answer. `headers` has content-length, and content-type where there is a body."""

    status: int
    headers: list[Header]
    body: bytes = b""


def answer(status: int, body: bytes, media_type: bytes, headers: Sequence[Header] = ()) -> Answer:
    """An answer with a body."""
    length = str(len(body)).encode()
    return Answer(status, [(b"content-type", media_type), (b"content-length", length), *headers], body)


def json_answer(status: int, content: Any, headers: Sequence[Header] = ()) -> Answer:
    """An answer with a Struct or plain data as JSON."""
    return answer(status, msgspec.json.encode(content), JSON, headers)


async def send_answer(send: Send, reply: Answer, *, head: bool = False, more: Sequence[Header] = ()) -> None:
    """Sends it, without its body for a HEAD request (RFC 9110 §9.3.2); `more` are headers to add."""
    headers = [*reply.headers, *more]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else reply.body})
