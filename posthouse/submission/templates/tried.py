"""Templates tried out: what one gives with sample data, whether one that is not pushed could be used, and one mail sent.

Rules: they are made where mail is made, apart from this process, so that none can hang it. A trial changes nothing; a test
is an ordinary mail, with a record.
"""

from typing import Any, TypeVar

import msgspec

from posthouse.mail.message import Content, Mailbox, Message, Recipient
from posthouse.mail.template import BadTemplate, Made
from posthouse.submission.accept import Submission
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.compose import mailbox_of
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.problems import Finding, invalid
from posthouse.submission.reference.describe import Doc, Link, Reply
from posthouse.submission.shape import read
from posthouse.submission.templated import variable_faults
from posthouse.submission.templates.kept import TEMPLATE_ID
from posthouse.submission.templates.request import (
    SAMPLE,
    WRITTEN,
    PreviewRequest,
    TestRequest,
    TrialRequest,
    source_of,
)
from posthouse.submission.templates.shelf import Shelf, id_of, version_of
from posthouse.submission.templates.views import PreviewView, show_preview

SOMEBODY = Mailbox("ann@example.com", "Ann")
"""Whom trials are written to that name nobody."""

T = TypeVar("T", PreviewRequest, TrialRequest, TestRequest)

PREVIEW = Doc(
    operation="previewTemplate",
    group="Templates",
    summary="Show what a template gives",
    text="Made with sample data, just as mail is made. Nothing is sent.",
    parameters=(TEMPLATE_ID,),
    replies=(Reply(status=200, text="What it gives, or why it gives nothing.", types=(PreviewView,)),),
    problems=("validation",),
    examples={"sample data": SAMPLE},
)
TRY = Doc(
    operation="validateTemplate",
    group="Templates",
    summary="Try out a template that is not pushed",
    text="Says what is wrong with it, which variables it names, and what it gives. Nothing is kept.",
    parameters=(TEMPLATE_ID,),
    replies=(Reply(status=200, text="What it gives, or why it gives nothing.", types=(PreviewView,)),),
    problems=("validation",),
    examples={"with sample data": {"template": WRITTEN, **SAMPLE}},
)
TEST = Doc(
    operation="testTemplate",
    group="Templates",
    summary="Send one mail of a template",
    text="An ordinary mail, with a record.",
    parameters=(TEMPLATE_ID,),
    replies=(
        Reply(
            status=202,
            text="It is accepted.",
            headers=("Location", "X-Message-Id"),
            links={
                "record": Link("getEmail", {"id": "$response.header.X-Message-Id"}, "What becomes of it.")
            },
        ),
    ),
    problems=("validation",),
    examples={"to Ann": SAMPLE},
)


def preview(shelf: Shelf) -> Handler:
    """The handler of POST /api/emails/templates/{templateId}/preview."""
    decoder = msgspec.json.Decoder(PreviewRequest)

    async def handle(call: Call) -> Answer:
        id = id_of(call)
        request, to, findings = _read(call, decoder)
        if findings:
            raise invalid(findings)
        version = await version_of(shelf, id, request.version)
        return await _shown(shelf, version.head.version, version.made, request.variables or {}, to)

    return handle


def try_out(shelf: Shelf) -> Handler:
    """The handler of POST /api/emails/templates/{templateId}/validate."""
    decoder = msgspec.json.Decoder(TrialRequest)

    async def handle(call: Call) -> Answer:
        id_of(call)
        request, to, findings = _read(call, decoder)
        source = source_of(
            request.template, lambda where, detail: findings.append(Finding(where, detail)), "template"
        )
        if findings:
            raise invalid(findings)
        given = request.variables or {}
        try:
            made = await shelf.press(source)
        except BadTemplate as error:
            return json_answer(200, show_preview(None, None, given, None, error.text))
        return await _shown(shelf, None, made, given, to)

    return handle


def test(shelf: Shelf) -> Handler:
    """The handler of POST /api/emails/templates/{templateId}/test."""
    decoder = msgspec.json.Decoder(TestRequest)

    async def handle(call: Call) -> Answer:
        id = id_of(call)
        request, to, findings = _read(call, decoder)
        if findings:
            raise invalid(findings)
        version = await version_of(shelf, id, request.version)
        given = request.variables or {}
        if version.made.subject is None:
            raise invalid([Finding("", "the template has no subject: it cannot be sent by itself")])
        if left := sorted(set(version.made.required) - set(given)):
            raise invalid([Finding(f"/variables/{name}", "the template needs it") for name in left])
        content = Content(
            sender=shelf.rules.sender,
            to=(to,),
            template=id,
            template_version=version.head.version,
            variables=given,
        )
        saved = await shelf.accept(Submission(content=content, recipients=[Recipient(to.email)]))
        name = saved.message.id.encode()
        headers = [(b"location", b"/emails/" + name), (b"x-message-id", name), (b"content-length", b"0")]
        return Answer(202, headers)

    return handle


def _read(call: Call, decoder: msgspec.json.Decoder[T]) -> tuple[T, Mailbox, list[Finding]]:
    """The request, whom it is to, and what is wrong with it."""
    request, findings = read(call.body, decoder)
    known = {finding.pointer for finding in findings}

    def note(where: str, detail: str) -> None:
        if where not in known:
            findings.append(Finding(where, detail))

    to = SOMEBODY if request.to is None else mailbox_of(request.to, "/to", note)
    for where, detail in variable_faults(request.variables or {}):
        note(where, detail)
    return request, to, findings


async def _shown(shelf: Shelf, version: int | None, made: Made, given: dict[str, Any], to: Mailbox) -> Answer:
    id = shelf.new_id()
    message = Message(
        id=id,
        message_id=f"<{id}@preview.invalid>",
        created_at=shelf.now(),
        recipients=[Recipient(to.email)],
    )
    content = Content(sender=shelf.rules.sender, to=(to,), template="preview", variables=given)
    try:
        filled = await shelf.fill(made, message, content)
    except BadTemplate as error:
        return json_answer(200, show_preview(version, made, given, None, error.text))
    return json_answer(200, show_preview(version, made, given, filled, None))
