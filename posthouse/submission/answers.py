"""What a handler answers: status, headers and body, in one piece or as a stream that ends when the caller hangs up."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import msgspec
from starlette.types import Receive, Send

Header = tuple[bytes, bytes]

JSON = b"application/json"


class Answer(NamedTuple):
    """An answer. `headers` has content-type where there is a body, and content-length unless that is a `stream`, whose
    pieces are sent as they come."""

    status: int
    headers: list[Header]
    body: bytes = b""
    stream: AsyncGenerator[bytes] | None = None


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


async def send_stream(
    send: Send, receive: Receive, reply: Answer, *, head: bool, more: Sequence[Header]
) -> None:
    """Sends an answer with a stream: piece by piece, until it ends or the caller hangs up."""
    assert reply.stream is not None
    headers = [*reply.headers, *more]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    async with aclosing(reply.stream) as pieces:
        if not head:
            await _until_hung_up(receive, asyncio.ensure_future(_send_pieces(send, pieces)))
    await send({"type": "http.response.body", "body": b""})


async def _send_pieces(send: Send, pieces: AsyncGenerator[bytes]) -> None:
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _until_hung_up(receive: Receive, sending: asyncio.Future[None]) -> None:
    """The generator is idle when this returns, so that it can be closed."""
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait([sending, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        sending.cancel()
        await asyncio.gather(gone, sending, return_exceptions=True)
    if not sending.cancelled() and (error := sending.exception()) is not None:
        raise error


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
