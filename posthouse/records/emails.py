"""posthouse.v1.EmailRecords: saves, reads and claims of documents (the proto says what each does).

Saves go through the accept use case, so single ones that come together share a commit. A document in a save of several is
saved, or refused, by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import grpc
import msgspec

from posthouse.mail.address import CONTROL, parse_mailbox
from posthouse.mail.errors import BadAddress, StoreAway
from posthouse.mail.lifecycle import Status
from posthouse.mail.message import LANES, Content, Lane, Message
from posthouse.proto import records_pb2 as pb
from posthouse.records.document import BAD_EVENT_ID, EVENT_ID, attach, read_document, show_document
from posthouse.records.guard import Refused, as_refused, unary, wrong_fields
from posthouse.store.base import EVENT, Query, Saved, Store, UnknownCursor
from posthouse.submission.accept import STORE_SECONDS, Accept
from posthouse.submission.auth import KeyScope
from posthouse.submission.compose import Rules
from posthouse.submission.pinned import Pin, pinned_by
from posthouse.submission.send import LARGE

SERVICE = pb.DESCRIPTOR.services_by_name["EmailRecords"].full_name
LIMIT, MAX_LIMIT = 20, 100
MAX_OWNER = 255
LEASE, MIN_LEASE, MAX_LEASE = 60.0, 1.0, 3600.0
CLAIMED = 60 << 20
"""Bytes of content that one claim gives, so that its answer stays within 64 MiB; what is more is handed back."""
SAVING = 60.0
"""Seconds that a save may take: each mail in it waits 5 s for the store at most, but many or large ones take time."""
TURN = 32
"""Documents that are read between two turns of the loop."""
STATUSES = ("PENDING", "SENT", "FAILED")


class Emails(msgspec.Struct, frozen=True, kw_only=True):
    """What the service is made of; `now` gives microseconds since 1970, `pin` finds templates of the catalog."""

    store: Store
    accept: Accept
    rules: Rules
    now: Callable[[], int]
    new_id: Callable[[], str]
    pin: Pin | None = None


SCOPES: dict[str, KeyScope] = {
    f"/{SERVICE}/SaveEmail": "send",
    f"/{SERVICE}/SaveEmails": "send",
    f"/{SERVICE}/GetEmail": "logs",
    f"/{SERVICE}/ListEmails": "logs",
    f"/{SERVICE}/ClaimEmails": "admin",
}
"""The scope that each method needs."""


def emails_service(emails: Emails) -> grpc.GenericRpcHandler:
    """The service."""
    store = emails.store
    handlers = {
        "SaveEmail": _handler(save_email(emails), pb.EmailDocument, pb.SaveReply, SAVING),
        "SaveEmails": _handler(save_emails(emails), pb.SaveEmailsRequest, pb.SaveEmailsReply, SAVING),
        "GetEmail": _handler(get_email(store), pb.GetEmailRequest, pb.EmailDocument),
        "ListEmails": _handler(list_emails(store), pb.ListEmailsRequest, pb.ListEmailsReply),
        "ClaimEmails": _handler(claim_emails(store), pb.ClaimEmailsRequest, pb.ClaimEmailsReply),
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


def _handler(answer: Any, request: Any, reply: Any, patience: float = STORE_SECONDS) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        cast(Any, unary(answer, patience)), request.FromString, reply.SerializeToString
    )


def save_email(emails: Emails) -> Callable[[pb.EmailDocument], Awaitable[pb.SaveReply]]:
    """The handler of SaveEmail. Large documents are read on a thread, two at a time."""
    two_at_a_time = asyncio.Semaphore(2)

    async def handle(document: pb.EmailDocument) -> pb.SaveReply:
        pinned = await pinned_by(emails.pin, document.template)
        given = (document, emails.rules, emails.now(), emails.new_id, pinned)
        if document.ByteSize() <= LARGE:
            submission, key = read_document(*given)
        else:
            async with two_at_a_time:
                submission, key = await asyncio.to_thread(read_document, *given)
        return _reply(await emails.accept(submission, key))

    return handle


def save_emails(emails: Emails) -> Callable[[pb.SaveEmailsRequest], Awaitable[pb.SaveEmailsReply]]:
    """The handler of SaveEmails. When the store was away for all of them, the call fails as a single one does."""
    save = save_email(emails)

    async def one(document: pb.EmailDocument) -> pb.SaveReply:
        try:
            return await save(document)
        except Exception as error:
            return _refusal(document.event_id, as_refused(error))

    async def handle(request: pb.SaveEmailsRequest) -> pb.SaveEmailsReply:
        saving: list[asyncio.Task[pb.SaveReply]] = []
        async with asyncio.TaskGroup() as tasks:
            for number, document in enumerate(request.emails, 1):
                saving.append(tasks.create_task(one(document)))
                if number % TURN == 0:
                    await asyncio.sleep(0)
        results = [task.result() for task in saving]
        unavailable: int = grpc.StatusCode.UNAVAILABLE.value[0]
        if results and all(result.refusal.code == unavailable for result in results):
            raise StoreAway
        return pb.SaveEmailsReply(results=results)

    return handle


def get_email(store: Store) -> Callable[[pb.GetEmailRequest], Awaitable[pb.EmailDocument]]:
    """The handler of GetEmail."""

    async def handle(request: pb.GetEmailRequest) -> pb.EmailDocument:
        if not EVENT_ID.fullmatch(request.event_id):
            raise wrong_fields([("event_id", BAD_EVENT_ID)])
        (id,) = await _ids(store, [request.event_id])
        found = await store.get(id)
        if found is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, "There is no document with this event_id.")
        return attach(show_document(*found), found[1])

    return handle


def list_emails(store: Store) -> Callable[[pb.ListEmailsRequest], Awaitable[pb.ListEmailsReply]]:
    """The handler of ListEmails."""

    async def handle(request: pb.ListEmailsRequest) -> pb.ListEmailsReply:
        query = _query(request)
        try:
            page = await store.page(query)
        except UnknownCursor:
            raise wrong_fields([("cursor", "is not the next_cursor of a page")]) from None
        return pb.ListEmailsReply(
            emails=[
                show_document(each.message, each.content, truncated=each.truncated) for each in page.items
            ],
            next_cursor=page.next_cursor or "",
            total=page.total,
        )

    return handle


def claim_emails(store: Store) -> Callable[[pb.ClaimEmailsRequest], Awaitable[pb.ClaimEmailsReply]]:
    """The handler of ClaimEmails."""

    async def handle(request: pb.ClaimEmailsRequest) -> pb.ClaimEmailsReply:
        lane, lease = _checked(request)
        limit = min(max(request.limit, 1), MAX_LIMIT)
        ids = await _ids(store, request.event_ids) if request.event_ids else None
        claimed = await store.claim(request.owner, limit, lease, lane=lane, ids=ids)
        claimed = await _within(store, claimed, CLAIMED)
        contents = await store.contents([message.id for message in claimed]) if claimed else {}
        return pb.ClaimEmailsReply(claimed=[_claimed(each, contents.get(each.id)) for each in claimed])

    return handle


async def _ids(store: Store, event_ids: Sequence[str]) -> list[str]:
    """Our ids of these; what no producer has named may be an id of ours."""
    named = await store.named(EVENT, list(event_ids))
    return [named.get(event_id, event_id) for event_id in event_ids]


async def _within(store: Store, claimed: list[Message], most: int) -> list[Message]:
    """As many of them as have `most` bytes together, one at least; the others are handed back."""
    kept, size = 0, 0
    while kept < len(claimed) and (kept == 0 or size + claimed[kept].size <= most):
        size += claimed[kept].size
        kept += 1
    if kept < len(claimed):
        await store.release([(message.id, message.fence) for message in claimed[kept:]], 0.0)
    return claimed[:kept]


def _claimed(message: Message, content: Content | None) -> pb.ClaimedEmail:
    return pb.ClaimedEmail(email=attach(show_document(message, content), content), fence=message.fence)


def _checked(request: pb.ClaimEmailsRequest) -> tuple[Lane | None, float]:
    """The lane and the lease in seconds."""
    wrong: list[tuple[str, str]] = []
    lease = request.lease.ToNanoseconds() / 1e9 if request.HasField("lease") else LEASE
    if not 0 < len(request.owner) <= MAX_OWNER or CONTROL.search(request.owner):
        wrong.append(("owner", f"must have 1 to {MAX_OWNER} characters, none of them control"))
    if not MIN_LEASE <= lease <= MAX_LEASE:
        wrong.append(("lease", "must be from 1 s to 1 h"))
    if request.lane not in ("", *LANES):
        wrong.append(("lane", "must be empty, transactional or bulk"))
    if len(request.event_ids) > MAX_LIMIT:
        wrong.append(("event_ids", f"must not be more than {MAX_LIMIT}"))
    if wrong:
        raise wrong_fields(wrong)
    return cast("Lane | None", request.lane or None), lease


def _query(request: pb.ListEmailsRequest) -> Query:
    wrong: list[tuple[str, str]] = []
    if request.status not in ("", *STATUSES):
        wrong.append(("status", "must be empty, PENDING, SENT or FAILED"))
    if request.cursor and not EVENT_ID.fullmatch(request.cursor):
        wrong.append(("cursor", "is not the next_cursor of a page"))
    recipient = None
    try:
        recipient = parse_mailbox(request.recipient).email if request.recipient else None
    except BadAddress as error:
        wrong.append(("recipient", error.text))
    if wrong:
        raise wrong_fields(wrong)
    return Query(
        limit=min(max(request.limit or LIMIT, 1), MAX_LIMIT),
        cursor=request.cursor or None,
        status=cast("Status | None", request.status or None),
        recipient=recipient,
        tag=request.category or None,
        since=request.since.ToMicroseconds() if request.HasField("since") else None,
        until=request.until.ToMicroseconds() if request.HasField("until") else None,
    )


def _reply(saved: Saved) -> pb.SaveReply:
    message = saved.message
    if saved.conflict:
        text = "Another mail was saved with this event_id."
        raise Refused(grpc.StatusCode.ALREADY_EXISTS, text)
    return pb.SaveReply(event_id=message.event_id or message.id, status=message.status, created=saved.created)


def _refusal(event_id: str, refused: Refused) -> pb.SaveReply:
    fields = [pb.WrongField(field=name, description=detail) for name, detail in refused.fields]
    number: int = refused.code.value[0]
    return pb.SaveReply(event_id=event_id, refusal=pb.Refusal(code=number, text=refused.text, fields=fields))
