"""The templates of the catalog: pushed, listed, shown, taken out of use, and who used them.

Rules: a version never changes, and pushing what equals the newest adds none. Who did it is in the trail.
"""

import re
from typing import Annotated

import msgspec

from posthouse.mail.campaign import Campaign, Counts
from posthouse.mail.template import BadTemplate
from posthouse.store.base import UnknownCursor
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.logs import BAD_CURSOR, read_arguments
from posthouse.submission.paging import CURSOR, LIST_LIMIT, page_of, read_numbered_place, read_place
from posthouse.submission.problems import Finding, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.submission.shape import read
from posthouse.submission.templates.request import WRITTEN, TemplateRequest, source_of
from posthouse.submission.templates.shelf import Shelf, id_of, missing, version_of
from posthouse.submission.templates.views import (
    PushedView,
    TemplatesView,
    TemplateView,
    UsesView,
    show_head,
    show_pushed,
    show_template,
    show_use,
)

TEMPLATE_ID = Parameter(
    "templateId",
    Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")],
    "The id of a template.",
    where="path",
    example="welcome",
)
VERSION = Parameter(
    "version",
    Annotated[int, msgspec.Meta(ge=1)],
    "The number of a version; the newest, if it is left out.",
    example=1,
)
_PLACE = re.compile("[0-9]{1,18}")
_DECODER = msgspec.json.Decoder(TemplateRequest)

PUSH = Doc(
    operation="pushTemplate",
    group="Templates",
    summary="Push a template",
    text="""\
Keeps a new version of it, made ready: MJML is HTML then, styles are in place, the text is derived where none is given. \
What is wrong with it is refused, with the file and the line. What equals the newest version adds none. A template that \
was archived is in use again.""",
    parameters=(TEMPLATE_ID,),
    replies=(
        Reply(status=200, text="It equals the newest version.", types=(PushedView,)),
        Reply(status=201, text="A new version.", types=(PushedView,)),
    ),
    problems=("validation",),
    examples={"with a default": WRITTEN},
)
LIST = Doc(
    operation="listTemplates",
    group="Templates",
    summary="List templates",
    text="By id, the newest version of each; without those that are archived.",
    parameters=(LIST_LIMIT, CURSOR),
    replies=(Reply(status=200, text="A page.", types=(TemplatesView,)),),
    problems=("validation",),
)
SHOW = Doc(
    operation="getTemplate",
    group="Templates",
    summary="Show a template",
    text="As it was written. Versions of an archived one can still be had by their number.",
    parameters=(TEMPLATE_ID, VERSION),
    replies=(Reply(status=200, text="The version.", types=(TemplateView,)),),
    problems=("validation",),
)
LIST_VERSIONS = Doc(
    operation="listTemplateVersions",
    group="Templates",
    summary="List the versions of a template",
    text="Newest first.",
    parameters=(TEMPLATE_ID, LIST_LIMIT, CURSOR),
    replies=(Reply(status=200, text="A page.", types=(TemplatesView,)),),
    problems=("validation",),
)
LIST_USES = Doc(
    operation="listTemplateUses",
    group="Templates",
    summary="List the campaigns that used a template",
    text="Newest first, each with the version that it pinned and for how many it was.",
    parameters=(TEMPLATE_ID, LIST_LIMIT, CURSOR),
    replies=(Reply(status=200, text="A page.", types=(UsesView,)),),
    problems=("validation",),
)
ARCHIVE = Doc(
    operation="archiveTemplate",
    group="Templates",
    summary="Take a template out of use",
    text="No new mail can name it. What was accepted with it is still sent. A push brings it back.",
    parameters=(TEMPLATE_ID,),
    replies=(Reply(status=204, text="It is out of use."),),
)


def push(shelf: Shelf) -> Handler:
    """The handler of PUT /api/emails/templates/{templateId}."""

    async def handle(call: Call) -> Answer:
        id = id_of(call)
        request, findings = read(call.body, _DECODER)
        source = source_of(request, lambda where, detail: findings.append(Finding(where, detail)))
        if findings:
            raise invalid(findings)
        try:
            made = await shelf.press(source)
        except BadTemplate as error:
            raise invalid([Finding("", error.text)]) from None
        head, created = await in_time(shelf.templates.push_template(id, source, made, call.key.by))
        return json_answer(201 if created else 200, show_pushed(head, made, created))

    return handle


def list_templates(shelf: Shelf) -> Handler:
    """The handler of GET /api/emails/templates."""

    async def handle(call: Call) -> Answer:
        limit, cursor = read_place(read_arguments(call.query))
        found = await in_time(shelf.templates.templates(limit + 1, cursor))
        page, place = page_of(found, limit, lambda each: each.template)
        return json_answer(200, TemplatesView([show_head(each) for each in page], place))

    return handle


def show(shelf: Shelf) -> Handler:
    """The handler of GET /api/emails/templates/{templateId}."""

    async def handle(call: Call) -> Answer:
        version = read_version(read_arguments(call.query).get("version"))
        return json_answer(200, show_template(await version_of(shelf, id_of(call), version)))

    return handle


def list_versions(shelf: Shelf) -> Handler:
    """The handler of GET /api/emails/templates/{templateId}/versions."""

    async def handle(call: Call) -> Answer:
        id = id_of(call)
        limit, cursor = read_numbered_place(read_arguments(call.query))
        found = await in_time(shelf.templates.template_versions(id, limit + 1, cursor))
        if not found and cursor is None:
            raise missing()
        page, place = page_of(found, limit, lambda each: each.version)
        return json_answer(200, TemplatesView([show_head(each) for each in page], place))

    return handle


def list_uses(shelf: Shelf) -> Handler:
    """The handler of GET /api/emails/templates/{templateId}/usage."""

    async def handle(call: Call) -> Answer:
        id = id_of(call)
        limit, cursor = read_place(read_arguments(call.query))
        found: list[tuple[Campaign, Counts]] = []
        try:
            if shelf.campaigns is not None:
                found = await in_time(shelf.campaigns.campaigns(limit + 1, cursor, id))
        except UnknownCursor:
            raise invalid([BAD_CURSOR]) from None
        page, place = page_of(found, limit, lambda each: each[0].id)
        return json_answer(200, UsesView([show_use(*each) for each in page], place))

    return handle


def archive(shelf: Shelf) -> Handler:
    """The handler of DELETE /api/emails/templates/{templateId}."""

    async def handle(call: Call) -> Answer:
        if not await in_time(shelf.templates.archive_template(id_of(call), call.key.by)):
            raise missing()
        return Answer(204, [])

    return handle


def read_version(given: str | None) -> int | None:
    """The number of a version in a query; raises Problem."""
    if given is None:
        return None
    if not _PLACE.fullmatch(given) or int(given) < 1:
        raise invalid([Finding("/version", "must be the number of a version")])
    return int(given)
