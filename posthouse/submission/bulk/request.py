"""What POST /api/emails/send-bulk takes: the Structs, which are the schema too. The rules beyond types are in `compose`."""

from typing import Annotated, Any

import msgspec

from posthouse.mail.mime import MAX_SUBJECT
from posthouse.rate import PATTERN
from posthouse.submission.request import LINE, Moment, OneMailbox, says

MAX_METADATA = 16_384
"""Bytes of a campaign's metadata as JSON."""
MAX_ROLES = 100
MAX_WORD = 128
"""Characters of a role, or of a template's id."""
PRIORITIES = (0, 100)

Role = Annotated[str, says("A role of contacts.", minLength=1, maxLength=MAX_WORD, pattern=LINE)]


class RecipientRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of those who are to get it."""

    email: OneMailbox
    name: Annotated[str | None, says("Their name, for the header and for the template.")] = None
    variables: Annotated[dict[str, Any] | None, says("What the template may name of this one.")] = None


class BulkRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """A mail to many: who gets it is chosen by roleFilter, or named by recipients. null is absent, save for the flag."""

    template_id: Annotated[
        str, says("A template of the catalog; its newest version is sent.", maxLength=MAX_WORD)
    ]
    role_filter: Annotated[
        Role | Annotated[list[Role], says("Any of them.", maxItems=MAX_ROLES)] | None,
        says('Who has one of these roles; "*" is everybody.'),
    ] = None
    recipients: Annotated[list[RecipientRequest] | None, says("In place of roleFilter.")] = None
    subject: Annotated[
        str | None,
        says("Replaces the template's, and is a template itself.", maxLength=MAX_SUBJECT, pattern=LINE),
    ] = None
    variables: Annotated[dict[str, Any] | None, says("What recipients have not of their own.")] = None
    from_: Annotated[OneMailbox | None, says("The sender; the server's own if left out.")] = msgspec.field(
        name="from", default=None
    )
    scheduled_at: Annotated[Moment | None, says("Not before this time; one that is over means now.")] = None
    expires_at: Annotated[Moment | None, says("Not tried after this time.")] = None
    priority: Annotated[
        int | None, says("Higher ones go first.", minimum=PRIORITIES[0], maximum=PRIORITIES[1])
    ] = None
    rate: Annotated[
        str | None,
        says("The most there may be, over all workers: `100/s`, `5000/hour`.", pattern=f"^{PATTERN}$"),
    ] = None
    metadata: Annotated[dict[str, Any] | None, says("Kept with it, shown with it, never read.")] = None
    dry_run: Annotated[bool, says("Only tell how many would get it.")] = False


EXAMPLES: dict[str, Any] = {
    "by role": {"templateId": "welcome", "roleFilter": "customer", "subject": "Fresh horses, {{ userName }}"},
    "by name": {
        "templateId": "welcome",
        "recipients": [{"email": "ann@example.com", "name": "Ann", "variables": {"horse": "Bayard"}}],
        "rate": "100/s",
        "scheduledAt": "2026-01-31T12:00:00Z",
    },
}
"""Requests for the reference."""
