"""POST /api/emails/send-bulk: reads, checks, keeps the campaign, answers; workers freeze the audience and send.

Rules: the answer comes once the campaign is kept, whatever the size of its audience. Who made it is in its trail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from uuid import UUID

import msgspec
from msgspec import structs

from posthouse.mail.campaign import Campaign, Person
from posthouse.store.catalog.campaigns import Campaigns
from posthouse.store.catalog.contacts import Headcount
from posthouse.store.catalog.templates import Head
from posthouse.store.catalog.trail import Trail
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.bulk.announce import Announcements
from posthouse.submission.bulk.compose import compose
from posthouse.submission.bulk.request import EXAMPLES, BulkRequest
from posthouse.submission.bulk.views import BulkReply, dry_reply
from posthouse.submission.compose import Rules
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.problems import Finding, Problem, invalid
from posthouse.submission.reference.describe import Doc, Link, Reply
from posthouse.submission.send import IDEMPOTENCY_KEY, idempotency_key
from posthouse.submission.shape import read

ROUTE = "POST /api/emails/send-bulk"
LARGE = 1_000_000
"""Bytes of a body beyond which it is read in a thread, so that the loop turns on."""

Newest = Callable[[str], Awaitable[Head | None]]
"""The newest version of a template."""
Reach = Callable[[Campaign, Sequence[Person]], Awaitable[Headcount]]
"""How many a campaign would be sent to now."""

_DECODER = msgspec.json.Decoder(BulkRequest)

SEND_BULK = Doc(
    operation="sendBulk",
    group="Bulk",
    summary="Send a mail to many",
    text="""\
Keeps a campaign and answers at once, however many are to get it. Workers then freeze the audience, once: each address \
gets one mail, with a state of its own; who is on the suppression list is counted, and gets none. The template is pinned \
to its newest version. With an `Idempotency-Key` a request can be repeated without sending twice: an equal one gets the \
first one's answer for as long as the campaign is kept.""",
    parameters=(IDEMPOTENCY_KEY,),
    replies=(
        Reply(
            status=200,
            text="A dry run: how many would get it. Nothing was kept.",
            types=(BulkReply,),
            example=lambda: BulkReply(success=True, dry_run=True, total_count=4711),
        ),
        Reply(
            status=202,
            text="The campaign is kept.",
            types=(BulkReply,),
            links={"job": Link("getJob", {"jobId": "$response.body#/jobId"}, "How it goes.")},
            example=lambda: BulkReply(success=True, job_id="019a0b9e-5c00-7000-8000-5d3a1c9be002"),
        ),
    ),
    problems=("no-campaigns", "idempotency-key-malformed", "idempotency-key-reused"),
    examples=EXAMPLES,
)


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """What bulk sends are made with. `now` gives microseconds since 1970; `expire` is how many seconds a mail lives on
    after a retry; `stopping` is set when this process is to end."""

    campaigns: Campaigns
    trail: Trail
    newest: Newest
    reach: Reach
    announcements: Announcements
    rules: Rules
    new_id: Callable[[], str]
    now: Callable[[], int]
    expire: float
    stopping: asyncio.Event


def send_bulk(bulk: Bulk) -> Handler:
    """The handler."""

    async def handle(call: Call) -> Answer:
        if len(call.body) <= LARGE:
            request, findings = read(call.body, _DECODER)
        else:
            request, findings = await asyncio.to_thread(read, call.body, _DECODER)
        key = idempotency_key(call.headers.get(b"idempotency-key"))
        name = None if key is None or request.dry_run else f"{call.key.id} {ROUTE} {key}"
        if name is not None and not findings and (first := await _first(bulk, name, request)):
            return _answer(bulk, first)
        campaign, people = await _composed(bulk, request, findings)
        if request.dry_run:
            heads = await in_time(bulk.reach(campaign, people))
            return json_answer(200, dry_reply(heads))
        if name is not None:
            campaign = structs.replace(campaign, id=key_id(name), fingerprint=fingerprint(request))
        kept = await in_time(bulk.campaigns.add_campaign(campaign, people, call.key.name))
        return _answer(bulk, _same(kept, campaign.fingerprint))

    return handle


def key_id(key: str) -> str:
    """The id that is a key's for ever (UUIDv8, RFC 9562): the same request again finds its campaign."""
    id = bytearray(sha256(key.encode()).digest()[:16])
    id[6], id[8] = 0x80 | id[6] & 0x0F, 0x80 | id[8] & 0x3F
    return str(UUID(bytes=bytes(id)))


def fingerprint(request: BulkRequest) -> str:
    """The same of equal requests."""
    return sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


async def _first(bulk: Bulk, key: str, request: BulkRequest) -> Campaign | None:
    """The campaign that had this key before. Looked for before anything is checked: a repeated request gets its answer
    also when its template is archived by now, or its time has come."""
    found = await in_time(bulk.campaigns.campaign(key_id(key)))
    return None if found is None else _same(found[0], fingerprint(request))


def _same(kept: Campaign, fingerprint: str) -> Campaign:
    if kept.fingerprint != fingerprint:
        raise Problem("idempotency-key-reused", "Another request with other content had this key first.")
    return kept


def _answer(bulk: Bulk, kept: Campaign) -> Answer:
    if kept.queue_job_id is None:
        bulk.announcements.tell(kept)
    return json_answer(202, BulkReply(success=True, job_id=kept.id))


async def _composed(
    bulk: Bulk, request: BulkRequest, findings: list[Finding]
) -> tuple[Campaign, list[Person]]:
    known = {finding.pointer for finding in findings}

    def note(where: str, detail: str) -> None:
        if where not in known:
            findings.append(Finding(where, detail))

    pinned = await in_time(bulk.newest(request.template_id)) if request.template_id else None
    campaign, people = await asyncio.to_thread(
        compose, request, pinned, bulk.rules, bulk.new_id, bulk.now(), note
    )
    if findings:
        raise invalid(findings)
    return campaign, people
