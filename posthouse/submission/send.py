"""POST /email/send: reads, checks, accepts, answers (DESIGN §6). 202 and no body, or 201 and the record."""

import asyncio
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Literal

import msgspec

from posthouse.mail.message import Message, Recipient
from posthouse.store.base import Key, Saved
from posthouse.submission.accept import Accept, StillRunning, Submission
from posthouse.submission.answers import Answer, Header, json_answer
from posthouse.submission.compose import Rules, compose, is_plain, limit_text
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.pinned import Pin, Pinned, allowing, keeping, named_in, pinned_by
from posthouse.submission.problems import Finding, Problem, invalid
from posthouse.submission.reference import examples
from posthouse.submission.reference.describe import Doc, Link, Parameter, Reply
from posthouse.submission.reject import QueueRefused
from posthouse.submission.request import EXAMPLES, ONE_BODY, SendRequest
from posthouse.submission.shape import read
from posthouse.submission.views import EmailView, show_email

SendReply = Literal[202, 201]

ROUTE = "POST /email/send"
LARGE = 1_000_000
"""Bytes of a body beyond which it is read in a thread, two at a time, so that the loop turns on."""

KEY_PATTERN = r'^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-~]([ -~]{0,253}[!-~])?)$'
"""An Idempotency-Key as idempotency_key takes it."""

_AT_FIRST = ("accepted", "suppressed")
_LENGTH_0 = (b"content-length", b"0")
_VARY = (b"vary", b"Prefer")
_DECODER = msgspec.json.Decoder(SendRequest)
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(rb"[ -~]*")
_RETURN = re.compile(rb'(?:^|,)\s*return\s*=\s*"?(minimal|representation)"?\s*(?=[;,]|$)', re.I)


def _links(id: str) -> dict[str, Link]:
    return {
        "record": Link("getEmail", {"id": id}, "What becomes of it."),
        "retry": Link("retryEmail", {"id": id}, "Once it has failed."),
    }


IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    Annotated[str, msgspec.Meta(pattern=KEY_PATTERN)],
    "1 to 255 printable ASCII characters, bare or as a quoted string.",
    where="header",
    example="order-4711",
)
SEND = Doc(
    operation="sendEmail",
    group="Sending",
    summary="Send a mail",
    text="""\
The answer comes once the mail is stored for good, and never waits for a mail server. With an `Idempotency-Key` a \
request can be repeated without sending twice: an equal one gets the first one's answer for as long as the mail lives. \
A request that was refused does not use its key up.""",
    parameters=(
        IDEMPOTENCY_KEY,
        Parameter(
            "Prefer",
            str,
            "`return=representation` asks for 201 and the record, `return=minimal` for 202 and no body (RFC 7240 §4.2).",
            where="header",
            example="return=representation",
        ),
    ),
    replies=(
        Reply(
            status=201,
            text="Accepted. The record as it was at first.",
            types=(EmailView,),
            headers=("Location", "X-Message-Id", "Vary"),
            maybe=("Preference-Applied",),
            links=_links("$response.body#/id"),
            example=examples.accepted_email,
        ),
        Reply(
            status=202,
            text="Accepted. No body.",
            headers=("Location", "X-Message-Id", "Vary"),
            maybe=("Preference-Applied",),
            links=_links("$response.header.X-Message-Id"),
        ),
    ),
    problems=(
        "idempotency-key-malformed",
        "idempotency-in-flight",
        "idempotency-key-reused",
    ),
    rules=ONE_BODY,
    examples=EXAMPLES,
)


def send_email(
    accept: Accept, rules: Rules, reply: SendReply, now: Callable[[], int], pin: Pin | None = None
) -> Handler:
    """The handler. `reply` is the status where the caller states no preference; `pin` finds templates of the catalog."""
    two_at_a_time = asyncio.Semaphore(2)

    async def handle(call: Call) -> Answer:
        key = idempotency_key(call.headers.get(b"idempotency-key"))
        pinned = await pinned_by(pin, named_in(call.body))
        if len(call.body) <= LARGE:
            submission, fingerprint = read_submission(call.body, rules, now(), key is not None, pinned)
        else:
            async with two_at_a_time:
                submission, fingerprint = await asyncio.to_thread(
                    read_submission, call.body, rules, now(), key is not None, pinned
                )
        stored = None if key is None else Key(f"{call.key.id} {ROUTE}", key, fingerprint)
        saved = await _accepted(accept, submission, stored)
        return _answer(saved, submission, call.headers.get(b"prefer"), reply)

    return handle


def read_submission(
    raw: bytes, rules: Rules, now: int, keyed: bool, pinned: Pinned | None = None
) -> tuple[Submission, bytes]:
    """The checked mail of a body, and its fingerprint if it is `keyed`; raises Problem naming every wrong field. `pinned`
    is the template of the catalog that it names."""
    request, findings = read(raw, _DECODER)
    if len(raw) > rules.max_text:  # decoded text is never longer than its JSON
        limit_text(request, rules.max_text)
    submission, more = compose(request, allowing(rules, pinned), now, plain=is_plain(raw))
    if pinned is not None:
        more += [Finding(*each) for each in pinned.missing(request.variables or {})]
    if findings or more:
        raise invalid([*findings, *_beside(findings, more)])
    return keeping(submission, pinned), _fingerprint(request) if keyed else b""


def idempotency_key(value: bytes | None) -> str | None:
    """The key of a request, bare or as a quoted string (RFC 8941 §3.3.3); raises Problem when it is malformed."""
    if value is None:
        return None
    value = value.strip()
    if value.startswith(b'"'):
        quoted = _QUOTED.fullmatch(value)
        value = re.sub(rb"\\(.)", rb"\1", quoted[1]) if quoted else b""
    if not 0 < len(value) <= 255 or not _BARE.fullmatch(value):
        raise Problem(
            "idempotency-key-malformed",
            "Idempotency-Key must be 1 to 255 printable ASCII characters, with or without quotes around them.",
        )
    return value.decode("ascii")


async def _accepted(accept: Accept, submission: Submission, key: Key | None) -> Saved:
    try:
        saved = await accept(submission, key)
    except StillRunning:
        raise Problem(
            "idempotency-in-flight", "Ask again in a moment.", headers=[(b"retry-after", b"1")]
        ) from None
    except QueueRefused as refused:
        text = "The queue did not take the mail, so its record says FAILED. Send it again, best with the same key."
        where = (b"location", b"/emails/" + refused.id.encode())
        raise Problem("unavailable", text, headers=[where, (b"retry-after", b"1")]) from None
    if saved.conflict:
        raise Problem("idempotency-key-reused", "Another request with other content had this key first.")
    return saved


def _answer(saved: Saved, submission: Submission, prefer: bytes | None, reply: SendReply) -> Answer:
    id = saved.message.id.encode()
    headers: list[Header] = [(b"location", b"/emails/" + id), (b"x-message-id", id), _VARY]
    if prefer is not None:
        wanted = _RETURN.search(prefer)
        if wanted is not None:
            word = wanted[1].lower()
            reply = 201 if word == b"representation" else 202
            headers.append((b"preference-applied", b"return=" + word))
    if reply == 202:
        return Answer(202, [*headers, _LENGTH_0])
    message = as_accepted(saved.message)
    return json_answer(201, show_email(message, submission.content, message.created_at), headers)


def as_accepted(message: Message) -> Message:
    """The record as it was at first, so that a repeated request gets the first one's answer."""
    created, entered = message.created_at, message.history[0].at
    recipients = [_at_first(recipient, entered) for recipient in message.recipients]
    closed = all(recipient.state == "suppressed" for recipient in recipients)
    return msgspec.structs.replace(
        message,
        recipients=recipients,
        history=[each for each in message.history if each.at == entered and each.event in _AT_FIRST],
        due_at=None if closed else max(message.scheduled_at or created, created),
        owner=None,
        sent_at=None,
        delivered_at=None,
        failed_at=entered if closed else None,
    )


def _at_first(recipient: Recipient, entered: int) -> Recipient:
    """Whoever was on the suppression list then entered suppressed."""
    if recipient.state == "suppressed" and recipient.at == entered:
        return recipient
    return Recipient(recipient.email, recipient.kind)


def _beside(findings: list[Finding], more: list[Finding]) -> list[Finding]:
    """Those findings of the rules that do not merely say that a value of the wrong type is empty."""
    wrong = {finding.pointer for finding in findings}
    return [
        finding
        for finding in more
        if not any(finding.pointer == each or finding.pointer.startswith(each + "/") for each in wrong)
    ]


def _fingerprint(request: SendRequest) -> bytes:
    return sha256(msgspec.json.encode(request, order="deterministic")).digest()
