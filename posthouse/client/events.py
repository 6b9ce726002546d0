"""EventClient: the producer of deployment 3. A document is saved with the records service (gRPC), then an EmailSendEvent that
names it is published (RabbitMQ). Concurrent sends share a SaveEmails and an event; while one event is on its way the next
documents are saved.

Rules: once the document is saved the mail is sent, whatever becomes of the event: an event that is lost costs about a
second. A save is repeated under the same eventId while patience lasts, so nothing is doubled. Every error is its caller's own.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, cast

import grpc
import grpc.aio

from posthouse.batch import Batcher, Full
from posthouse.client.calls import FIRST, LOOK_FIRST, LOOK_MOST, MOST
from posthouse.client.document import Document, EmailDocument, Saved, asked, read
from posthouse.client.mail import OPEN, Error, Fault, Refused, Status, StillOpen, Unreached
from posthouse.proto import records_pb2 as pb
from posthouse.queue.base import Hint, QueueAway
from posthouse.queue.rabbitmq import RabbitQueue
from posthouse.store.remote.address import Address, parse

__all__ = ["Document", "EmailDocument", "EventClient", "Saved"]

SECONDS = 10.0
"""Seconds that one call may take."""
AT_ONCE = 100
"""Documents in one SaveEmails: as many as one event may name."""
LARGEST = 64 << 20
"""Bytes of a document."""
ROOM_SECONDS = 0.05
"""Seconds between two looks for room, where more waits than may."""

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
]
"""A records service that is back is found within a second or two, however long it was away."""
_SAVE, _GET = ("/posthouse.v1.EmailRecords/SaveEmails", "/posthouse.v1.EmailRecords/GetEmail")
_AWAY = frozenset(
    code.value[0]
    for code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
)
_AS_HTTP = {3: 400, 5: 404, 6: 409, 7: 403, 16: 401}
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}

Item = TypeVar("Item")
Result = TypeVar("Result")


class _No(NamedTuple):
    """What the records service answered, or that it did not: a status of gRPC, its text, the fields that are wrong."""

    code: int
    text: str
    faults: tuple[Fault, ...] = ()

    def error(self, key: str | None = None) -> Error:
        """As it is raised, once to each caller."""
        error: Error
        if self.code in _AS_HTTP:
            error = Refused(_AS_HTTP[self.code], _NAMES[self.code], self.text, self.faults)
        else:
            error = Unreached(f"{_NAMES.get(self.code, self.code)}: {self.text}")
        error.key = key
        return error


class EventClient:
    """`records` is `grpc://host:port?key=KEY` (with tls, ca, cert, cert_key as the store's URL), `queue` is
    `amqp://user:pass@host:port/vhost`. One client serves any number of tasks of one event loop. `saved` hears which
    documents are saved and PENDING, right before their event is published. Raises ValueError for a URL that is wrong."""

    def __init__(
        self,
        records: str,
        queue: str,
        *,
        patience: float = 30.0,
        saved: Callable[[Sequence[str]], None] = lambda event_ids: None,
    ) -> None:
        address = parse(records, "records")
        self._metadata = (("x-api-key", address.key),)
        self._queue = RabbitQueue(queue)
        self._channel = _open(address)
        self._patience, self._told = patience, saved
        self._saving: Batcher[pb.EmailDocument, pb.SaveReply | _No] = Batcher(
            self._save, most=AT_ONCE, weigh=pb.EmailDocument.ByteSize
        )
        self._publishing: Batcher[str, bool] = Batcher(self._publish, most=AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finishes what was asked for and lets go of the connections."""
        await self._saving.drain()
        await self._publishing.drain()
        await self._queue.stop()
        await self._channel.close()

    async def send(self, document: EmailDocument) -> Saved:
        """Saves the document and publishes its event; waits while too much is under way. Raises Refused, and Unreached: then
        send it again with the same `event_id`, which the error's `key` tells."""
        named = asked(document)
        if named.ByteSize() > LARGEST:
            refused = Refused(413, "TOO_LARGE", f"A document may have {LARGEST >> 20} MiB.")
            refused.key = named.event_id
            raise refused
        reply = await _added(self._saving, named)
        if isinstance(reply, _No):
            raise reply.error(named.event_id)
        published = reply.status == "PENDING" and await _added(self._publishing, reply.event_id)
        return Saved(reply.event_id, cast(Status, reply.status), reply.created, published)

    async def get(self, event_id: str) -> Document:
        """What became of it. Raises Refused (404 for none), Unreached."""
        request, ends, pause = pb.GetEmailRequest(event_id=event_id), self._ends(), FIRST
        while isinstance(answer := await self._call(_GET, request, pb.EmailDocument), _No):
            if answer.code not in _AWAY or time.monotonic() + pause > ends:
                raise answer.error()
            pause = await _paused(pause)
        return read(answer)

    async def wait(self, event_id: str, seconds: float = 60.0) -> Document:
        """The document once it is closed. Raises StillOpen after so many seconds, and what `get` raises."""
        ends, pause = time.monotonic() + seconds, LOOK_FIRST
        while (document := await self.get(event_id)).state in OPEN:
            if time.monotonic() >= ends:
                raise StillOpen(event_id, document.state)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LOOK_MOST)
        return document

    async def _save(self, documents: Sequence[pb.EmailDocument]) -> list[pb.SaveReply | _No]:
        """A reply for each; what may pass is asked again."""
        replies: dict[int, pb.SaveReply | _No] = {}
        left, ends, pause = dict(enumerate(documents)), self._ends(), FIRST
        while True:
            replies |= await self._save_once(left)
            left = {place: each for place, each in left.items() if _is_away(replies[place])}
            if not left or time.monotonic() + pause > ends:
                return [replies[place] for place in range(len(documents))]
            pause = await _paused(pause)

    async def _save_once(self, left: Mapping[int, pb.EmailDocument]) -> dict[int, pb.SaveReply | _No]:
        request = pb.SaveEmailsRequest(emails=list(left.values()))
        answer = await self._call(_SAVE, request, pb.SaveEmailsReply)
        if isinstance(answer, _No):
            return dict.fromkeys(left, answer)
        replies = [_refusal(each.refusal) if each.HasField("refusal") else each for each in answer.results]
        return dict(zip(left, replies, strict=True))

    async def _publish(self, ids: Sequence[str]) -> list[bool]:
        """Whether the broker has their event."""
        self._told(ids)
        try:
            await self._queue.publish([Hint("transactional", tuple(ids))])
        except QueueAway:
            return [False] * len(ids)
        return [True] * len(ids)

    async def _call(self, method: str, request: Any, kind: Any) -> Any:
        """The answer, or a _No."""
        try:
            call: Any = self._channel.unary_unary(method, _serialized, kind.FromString)
            return await call(request, timeout=SECONDS, metadata=self._metadata, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            return _No(error.code().value[0], error.details() or "")

    def _ends(self) -> float:
        return time.monotonic() + self._patience


async def _added(batcher: Batcher[Item, Result], item: Item) -> Result:
    """What came of an item, once there was room for it."""
    while True:
        try:
            added = batcher.add(item)
        except Full:
            await asyncio.sleep(ROOM_SECONDS)
        else:
            return await added


async def _paused(pause: float) -> float:
    """The next pause."""
    await asyncio.sleep(pause)
    return min(pause * 2, MOST)


def _is_away(reply: pb.SaveReply | _No) -> bool:
    return isinstance(reply, _No) and reply.code in _AWAY


def _refusal(refusal: pb.Refusal) -> _No:
    return _No(
        refusal.code, refusal.text, tuple(Fault(each.field, each.description) for each in refusal.fields)
    )


def _serialized(message: Any) -> bytes:
    return message.SerializeToString()


def _open(address: Address) -> grpc.aio.Channel:
    if not address.tls:
        return grpc.aio.insecure_channel(address.target, _OPTIONS)
    credentials = grpc.ssl_channel_credentials(address.ca, address.cert_key, address.cert)
    return grpc.aio.secure_channel(address.target, credentials, _OPTIONS)
