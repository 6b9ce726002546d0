"""What is taken and shown of the suppression list: the Structs, which are the schema too. The rules beyond types are in
mail.suppression."""

from typing import Annotated, Any

import msgspec

from posthouse.mail.contact import BadEntry
from posthouse.mail.suppression import MAX_NOTE, Reach, Reason, Suppression, checked
from posthouse.store.catalog.trail import Entry
from posthouse.submission.bulk.views import PlaceView
from posthouse.submission.contacts.views import WrongLineView
from posthouse.submission.problems import Finding
from posthouse.submission.request import LINE, Moment, OneMailbox, says
from posthouse.submission.times import microseconds, show_time
from posthouse.submission.views import Time

MOST = 1_000
"""Entries of one request."""

_NAMES = {"expires_at": "expiresAt"}
"""What callers call the fields of an entry, where that differs."""


class SuppressionFields(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """Somebody who is not to be mailed. null is absent."""

    email: OneMailbox
    lane: Annotated[Reach, says("Which mail.")] = "both"
    reason: Reason = "manual"
    note: Annotated[str | None, says("In your words.", maxLength=MAX_NOTE, pattern=LINE)] = None
    expires_at: Annotated[Moment | None, says("Until then; for ever if it is left out.")] = None


class SuppressionsRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """One entry, or many in `suppressions`. All of them are added, or none where a field is wrong."""

    email: OneMailbox | None = None
    lane: Annotated[Reach, says("Which mail.")] = "both"
    reason: Reason = "manual"
    note: Annotated[str | None, says("In your words.", maxLength=MAX_NOTE, pattern=LINE)] = None
    expires_at: Annotated[Moment | None, says("Until then; for ever if it is left out.")] = None
    suppressions: Annotated[list[SuppressionFields] | None, says("Many.", minItems=1, maxItems=MOST)] = None


ONE_OR_MANY: dict[str, Any] = {
    "oneOf": [
        {
            "required": ["email"],
            "properties": {"email": {"type": "string"}, "suppressions": {"type": "null"}},
        },
        {
            "required": ["suppressions"],
            "properties": {"suppressions": {"type": "array"}, "email": {"type": "null"}},
        },
    ]
}
"""Types cannot say it."""
EXAMPLES: dict[str, Any] = {
    "one": {"email": "ann@example.com", "note": "asked by phone"},
    "many": {
        "suppressions": [
            {"email": "ann@example.com", "lane": "bulk", "reason": "unsubscribed"},
            {"email": "ben@example.com", "expiresAt": "2036-01-31T12:00:00Z"},
        ]
    },
}


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An entry of the list."""

    email: str
    lane: Reach
    reason: Reason
    note: str
    expires_at: Time | None
    created_at: Time | None
    created_by: str


class SuppressionsView(msgspec.Struct, frozen=True):
    """A page of the list, newest first."""

    items: list[SuppressionView]
    pagination: PlaceView


class AddedView(msgspec.Struct, frozen=True):
    """What became of entries that were given."""

    added: Annotated[int, says("New, or lasting longer than what was there.")]
    unchanged: Annotated[int, says("Those that were on the list already, for as long or longer.")]


class ImportedView(AddedView, frozen=True):
    """What became of a file."""

    wrong: Annotated[int, says("Lines that were not taken.")]
    errors: Annotated[list[WrongLineView], says("The first hundred.")]


class ActView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did."""

    id: str
    at: Time | None
    by: Annotated[
        str, says("A key, a token's subject, a person at the command line, or a part of this server.")
    ]
    act: str
    about: Annotated[str, says("A kind and a name, such as campaign:… or suppression:ann@example.com.")]
    detail: dict[str, Any]


class TrailView(msgspec.Struct, frozen=True):
    """A page of the trail, newest first."""

    items: list[ActView]
    pagination: PlaceView


def entries_of(request: SuppressionsRequest, now: int) -> tuple[list[Suppression], list[Finding]]:
    """The entries as they can be kept, and what is wrong with them (then they are not to be used)."""
    given, findings = request.suppressions, list[Finding]()
    if (given is None) == (request.email is None):
        where = "/email" if given is None else "/suppressions"
        return [], [Finding(where, "this field is required: one of email and suppressions, not both")]
    if given is not None and not 0 < len(given) <= MOST:
        return [], [Finding("/suppressions", f"must have 1 to {MOST} entries")]
    entries: list[Suppression] = []
    for n, each in enumerate(given or [request]):
        try:
            entries.append(checked(_entry(each), now))
        except BadEntry as error:
            where = "" if given is None else f"/suppressions/{n}"
            findings += [
                Finding(f"{where}/{_NAMES.get(flaw.field, flaw.field)}", flaw.text) for flaw in error.flaws
            ]
    return entries, findings


def _entry(fields: SuppressionFields | SuppressionsRequest) -> Suppression:
    return Suppression(
        email=fields.email or "",
        lane=fields.lane,
        reason=fields.reason,
        note=fields.note or "",
        expires_at=None if fields.expires_at is None else microseconds(fields.expires_at),
    )


def show_entry(entry: Suppression) -> SuppressionView:
    """An entry of the list."""
    return SuppressionView(
        email=entry.email,
        lane=entry.lane,
        reason=entry.reason,
        note=entry.note,
        expires_at=show_time(entry.expires_at),
        created_at=show_time(entry.at),
        created_by=entry.by,
    )


def show_act(entry: Entry) -> ActView:
    """An act."""
    return ActView(
        id=str(entry.id),
        at=show_time(entry.at),
        by=entry.by,
        act=entry.act,
        about=entry.about,
        detail=entry.detail,
    )
