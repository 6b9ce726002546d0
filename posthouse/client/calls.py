"""The calls of the HTTP client as steps, without a network and without a clock: each yields what is to be done next, an Ask
or a pause in seconds, and is sent what came of it. The async and the sync client only carry them out.
"""

import random
from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

import msgspec

from posthouse.client.mail import Error, Fault, Mail, Record, Refused, Sent, StillOpen, Unreached

T = TypeVar("T")

FIRST, MOST = 0.2, 5.0
"""Seconds before a call is repeated: doubled each time, with jitter."""
LOOK_FIRST, LOOK_MOST = 0.05, 1.0
"""Seconds between two looks at a mail that is waited for."""
PATIENT = frozenset((429, 502, 503, 504))
"""Answers that say to come again."""


class Ask(msgspec.Struct, frozen=True):
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None


class Reply(msgspec.Struct, frozen=True):
    """What came of one: a status of 0 for none, and then `body` says why."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Steps = Generator[Ask | float, Reply | None, T]
"""Yields an Ask and is sent its Reply, or yields seconds to wait."""

Clock = Callable[[], float]


class _Document(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str = ""
    errors: list[Fault] = []


def send(mail: Mail, key: str, patience: float, clock: Clock) -> Steps[Sent]:
    """Hands in a mail."""
    headers = {"content-type": "application/json", "idempotency-key": key, "prefer": "return=minimal"}
    ask = Ask("POST", "/email/send", headers, msgspec.json.encode(mail))
    try:
        reply = yield from _answered(ask, patience, clock)
    except Error as error:
        error.key = key
        raise
    return Sent(reply.headers["x-message-id"])


def get(id: str, patience: float, clock: Clock) -> Steps[Record]:
    """Reads a record."""
    reply = yield from _answered(Ask("GET", f"/emails/{id}"), patience, clock)
    return msgspec.json.decode(reply.body, type=Record)


def wait(id: str, seconds: float, patience: float, clock: Clock) -> Steps[Record]:
    """Reads a record until it is closed."""
    ends, pause = clock() + seconds, LOOK_FIRST
    while True:
        record = yield from get(id, patience, clock)
        if not record.is_open:
            return record
        if clock() >= ends:
            raise StillOpen(record.id, record.state)
        yield min(pause, max(ends - clock(), 0.0))
        pause = min(pause * 1.5, LOOK_MOST)


def _answered(ask: Ask, patience: float, clock: Clock) -> Steps[Reply]:
    """The answer to a request, repeated while it has none and there is patience."""
    ends, pause = clock() + patience, FIRST
    while True:
        reply = yield ask
        assert isinstance(reply, Reply)
        if 200 <= reply.status < 300:
            return reply
        wait = _comes_again_in(reply, pause)
        if wait is None or clock() + wait > ends:
            raise _error(reply)
        yield wait
        pause = min(pause * 2, MOST)


def _comes_again_in(reply: Reply, pause: float) -> float | None:
    """Seconds until it is worth asking again; None when it is not. A 409 that names a time is of a request like this
    one that is still running."""
    after = reply.headers.get("retry-after", "")
    named = float(after) if after.isascii() and after.isdigit() else None
    if reply.status == 409:
        return named
    if reply.status and reply.status not in PATIENT:
        return None
    return max(pause * random.uniform(0.5, 1.0), named or 0.0)


def _error(reply: Reply) -> Error:
    if reply.status == 0:
        return Unreached(reply.body.decode())
    try:
        said = msgspec.json.decode(reply.body, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = _Document()
    refused = Refused(reply.status, said.title or "no problem document came", said.detail, said.errors)
    undecided = reply.status >= 500 or (reply.status == 409 and "retry-after" in reply.headers)
    return Unreached(str(refused)) if undecided else refused
