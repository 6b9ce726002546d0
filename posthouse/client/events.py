"""EventClient: the producer of deployment 3. A document is saved with the records service (gRPC), then an EmailSendEvent that
names it is published (RabbitMQ). Concurrent sends share a SaveEmails and an event.

Rules: once the document is saved the mail is sent, whatever becomes of the event: an event that is lost costs about a
second. A save is repeated under the same eventId while patience lasts, so nothing is doubled.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast

import grpc
import grpc.aio
import msgspec

from posthouse.batch import Batcher
from posthouse.client.calls import FIRST, LOOK_FIRST, LOOK_MOST, MOST
from posthouse.client.mail import OPEN, Attachment, Error, Fault, Refused, State, Status, StillOpen, Unreached
from posthouse.proto import records_pb2 as pb
from posthouse.queue.base import Hint, QueueAway
from posthouse.queue.rabbitmq import RabbitQueue
from posthouse.store.remote.address import Address, parse

SECONDS = 10.0
"""Seconds that one call may take."""
AT_ONCE = 100
"""Documents in one SaveEmails: as many as one event may name."""

_SAVE, _GET = ("/posthouse.v1.EmailRecords/SaveEmails", "/posthouse.v1.EmailRecords/GetEmail")
_AWAY = frozenset(
    (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
)
_AS_HTTP = {3: 400, 5: 404, 6: 409, 7: 403, 16: 401}
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class EmailDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to one address. It needs a subject and html or text; or a template. `event_id` names it for ever: made if
    left out, given to make a send repeatable."""

    recipient: str
    subject: str = ""
    html: str = ""
    text: str = ""
    template: str = ""
    variables: Mapping[str, Any] | None = None
    sender: str = ""
    category: str = ""
    attachments: Sequence[Attachment] = ()
    event_id: str = ""


class Saved(msgspec.Struct, frozen=True):
    """A document that is saved for good. `created`: by this send; `published`: its event is in the broker."""

    event_id: str
    status: Status
    created: bool
    published: bool


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mail."""

    event_id: str
    status: Status
    state: State
    error: str | None
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    failed_at: datetime | None


class EventClient:
    """`records` is `grpc://host:port?key=KEY` (with tls, ca, cert, cert_key as the store's URL), `queue` is
    `amqp://user:pass@host:port/vhost`. One client serves any number of tasks of one event loop. `saved` hears which
    documents are saved and PENDING, right before their event is published."""

    def __init__(
        self,
        records: str,
        queue: str,
        *,
        patience: float = 30.0,
        saved: Callable[[Sequence[str]], None] = lambda event_ids: None,
    ) -> None:
        address = parse(records)
        self._metadata = (("x-api-key", address.key),)
        self._channel = _open(address)
        self._queue = RabbitQueue(queue)
        self._patience, self._told = patience, saved
        self._batcher: Batcher[pb.EmailDocument, Saved | Error] = Batcher(
            self._send, most=AT_ONCE, weigh=pb.EmailDocument.ByteSize
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finishes what was asked for and lets go of the connections."""
        await self._batcher.drain()
        await self._queue.stop()
        await self._channel.close()

    async def send(self, document: EmailDocument) -> Saved:
        """Saves the document and publishes its event. Raises Refused, and Unreached: then send it again with the same
        `event_id`, which the error's `key` tells."""
        asked = _asked(document)
        result = await self._batcher.add(asked)
        if isinstance(result, Error):
            result.key = asked.event_id
            raise result
        return result

    async def get(self, event_id: str) -> Document:
        """What became of it. Raises Refused (404 for none), Unreached."""
        request = pb.GetEmailRequest(event_id=event_id)
        return _document(await self._call(_GET, request, pb.EmailDocument))

    async def wait(self, event_id: str, seconds: float = 60.0) -> Document:
        """The document once it is closed. Raises StillOpen after so many seconds, and what `get` raises."""
        ends, pause = time.monotonic() + seconds, LOOK_FIRST
        while (document := await self.get(event_id)).state in OPEN:
            if time.monotonic() >= ends:
                raise StillOpen(event_id, document.state)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LOOK_MOST)
        return document

    async def _send(self, documents: Sequence[pb.EmailDocument]) -> list[Saved | Error]:
        replies = await self._saved(documents)
        ids = [
            reply.event_id
            for reply in replies
            if isinstance(reply, pb.SaveReply) and reply.status == "PENDING"
        ]
        self._told(ids)
        published = await self._published(ids)
        return [reply if isinstance(reply, Error) else _saved(reply, published) for reply in replies]

    async def _saved(self, documents: Sequence[pb.EmailDocument]) -> list[pb.SaveReply | Error]:
        """A reply for each; what may pass is asked again."""
        replies: dict[str, pb.SaveReply | Error] = {}
        left, ends, pause = (
            {each.event_id: each for each in documents},
            time.monotonic() + self._patience,
            FIRST,
        )
        while left:
            again = await self._save(left, replies)
            left = {id: left[id] for id in again}
            if left and time.monotonic() + pause > ends:
                break
            if left:
                await asyncio.sleep(pause)
                pause = min(pause * 2, MOST)
        return [replies[each.event_id] for each in documents]

    async def _save(
        self, left: Mapping[str, pb.EmailDocument], replies: dict[str, pb.SaveReply | Error]
    ) -> list[str]:
        """One SaveEmails; those that are worth another."""
        request = pb.SaveEmailsRequest(emails=list(left.values()))
        try:
            told = await self._call(_SAVE, request, pb.SaveEmailsReply, patience=0.0)
        except Error as error:
            replies.update(dict.fromkeys(left, error))
            return list(left) if isinstance(error, Unreached) else []
        for id, reply in zip(left, told.results, strict=True):
            replies[id] = _refused(reply.refusal) if reply.HasField("refusal") else reply
        return [id for id in left if isinstance(replies[id], Unreached)]

    async def _published(self, ids: Sequence[str]) -> bool:
        try:
            await self._queue.publish([Hint("transactional", tuple(ids))])
        except QueueAway:
            return False
        return True

    async def _call(self, method: str, request: Any, kind: Any, *, patience: float | None = None) -> Any:
        ends = time.monotonic() + (self._patience if patience is None else patience)
        pause = FIRST
        while True:
            try:
                call: Any = self._channel.unary_unary(method, _serialized, kind.FromString)
                return await call(request, timeout=SECONDS, metadata=self._metadata, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AWAY or time.monotonic() + pause > ends:
                    raise _error(error.code().value[0], error.details() or "") from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, MOST)


def _serialized(message: Any) -> bytes:
    return message.SerializeToString()


def _open(address: Address) -> grpc.aio.Channel:
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    if not address.tls:
        return grpc.aio.insecure_channel(address.target, options)
    credentials = grpc.ssl_channel_credentials(address.ca, address.cert_key, address.cert)
    return grpc.aio.secure_channel(address.target, credentials, options)


def _asked(document: EmailDocument) -> pb.EmailDocument:
    asked = pb.EmailDocument(
        event_id=document.event_id or secrets.token_urlsafe(24),
        recipient=document.recipient,
        subject=document.subject,
        html=document.html,
        text=document.text,
        template=document.template,
        sender=document.sender,
        category=document.category,
        attachments=[
            pb.Attachment(filename=each.filename, content_type=each.content_type or "", content=each.content)
            for each in document.attachments
        ],
    )
    if document.variables is not None:
        asked.variables.update(dict(document.variables))
    return asked


def _saved(reply: pb.SaveReply, published: bool) -> Saved:
    return Saved(
        reply.event_id, cast(Status, reply.status), reply.created, published and reply.status == "PENDING"
    )


def _document(document: pb.EmailDocument) -> Document:
    def at(field: str) -> datetime | None:
        return getattr(document, field).ToDatetime(UTC) if document.HasField(cast(Any, field)) else None

    return Document(
        event_id=document.event_id,
        status=cast(Status, document.status),
        state=cast(State, document.state),
        error=document.error or None,
        attempts=document.attempts,
        created_at=document.created_at.ToDatetime(UTC),
        sent_at=at("sent_at"),
        failed_at=at("failed_at"),
    )


def _refused(refusal: pb.Refusal) -> Error:
    faults = [Fault(each.field, each.description) for each in refusal.fields]
    return _error(refusal.code, refusal.text, faults)


def _error(code: int, text: str, faults: Sequence[Fault] = ()) -> Error:
    if code in _AS_HTTP:
        return Refused(_AS_HTTP[code], _NAMES[code], text, faults)
    return Unreached(f"{_NAMES.get(code, code)}: {text}")
