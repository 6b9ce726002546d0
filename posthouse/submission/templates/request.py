"""What the routes of templates take: the Structs, which are the schema too. Whether a template can be used is found by
making it ready (mail.press)."""

from typing import Annotated, Any

import msgspec

from posthouse.mail.mime import MAX_SUBJECT
from posthouse.mail.template import Source
from posthouse.submission.compose import Note
from posthouse.submission.request import LINE, OneMailbox, says
from posthouse.submission.templated import text_fault, variable_faults
from posthouse.templates import MOST_BYTES

Part = Annotated[str | None, says("Jinja2.", maxLength=MOST_BYTES)]
Variables = Annotated[dict[str, Any] | None, says("What the template may name.")]


class TemplateRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A template as written. One of html, mjml and text is needed; mjml is read only where there is no html."""

    subject: Annotated[
        str | None, says("One line of Jinja2; mail may bring its own.", maxLength=MAX_SUBJECT, pattern=LINE)
    ] = None
    html: Part = None
    mjml: Part = None
    text: Part = None
    defaults: Annotated[dict[str, Any] | None, says("Variables beneath all others.")] = None


class TrialRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A template as written, and what it is to be tried out with."""

    template: TemplateRequest
    variables: Variables = None
    to: Annotated[OneMailbox | None, says("Whom it is written to, in the trial.")] = None


class PreviewRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Sample data. Without a `version` the newest is shown."""

    variables: Variables = None
    to: Annotated[OneMailbox | None, says("Whom it is written to, in the preview.")] = None
    version: Annotated[int | None, says("", minimum=1)] = None


class TestRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One mail of the template, really sent."""

    __test__ = False

    to: OneMailbox
    variables: Variables = None
    version: Annotated[int | None, says("The newest, if it is left out.", minimum=1)] = None


WRITTEN: dict[str, Any] = {
    "subject": "Welcome, {{ userName }}",
    "html": "<p>Your horse is <b>{{ horse }}</b>.</p>",
    "defaults": {"horse": "Bayard"},
}
SAMPLE: dict[str, Any] = {"to": "Ann <ann@example.com>", "variables": {"horse": "Arion"}}


def source_of(request: TemplateRequest, note: Note, *above: str) -> Source:
    """The template of a request; what is wrong with it goes to `note`, under the steps `above`."""
    before = "".join(f"/{step}" for step in above)
    if not any((request.html, request.mjml, request.text)):
        note(f"{before}/html", "one of html, mjml, text is required")
    if request.subject is not None and not request.subject.strip():
        note(f"{before}/subject", "must not be empty")
    for part in ("subject", "html", "mjml", "text"):
        value = getattr(request, part) or ""
        if fault := text_fault(value):
            note(f"{before}/{part}", fault)
        elif len(value.encode()) > MOST_BYTES:
            note(f"{before}/{part}", f"must not exceed {MOST_BYTES} bytes")
    for where, detail in variable_faults(request.defaults or {}, *above):
        note(where.replace("/variables", "/defaults", 1), detail)
    return Source(
        subject=request.subject,
        html=request.html or None,
        mjml=request.mjml or None,
        text=request.text or None,
        defaults=request.defaults or {},
    )
