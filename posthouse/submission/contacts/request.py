"""What the routes of contacts take: the Structs, which are the schema too. The rules beyond types are in mail.contact."""

from typing import Annotated, Any, Literal

import msgspec

from posthouse.mail.contact import MAX_ROLE, MAX_ROLES, BadEntry, Entry, checked
from posthouse.submission.compose import Note
from posthouse.submission.request import OneMailbox, says

MOST = 1_000
"""Entries of one request."""


class ContactFields(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """What is said of somebody; what is left out stays as it was. An attribute that is null is taken away."""

    name: str | None = None
    roles: Annotated[
        list[str] | None,
        says(f"Replace those that were there. Up to {MAX_ROLES:,}, of 1 to {MAX_ROLE} characters each."),
    ] = None
    attributes: Annotated[dict[str, Any] | None, says("Variables of templates, by name.")] = None
    consent_when: Annotated[str | None, says("In your words.")] = None
    consent_how: Annotated[str | None, says("In your words.")] = None


class ContactEntry(
    ContactFields,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename="camel",
):
    """One of many."""

    email: OneMailbox


class ContactsRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """Many contacts. They are taken one by one: those that are wrong are named, and the others are written."""

    contacts: Annotated[list[ContactEntry], says("In this order.", minItems=1, maxItems=MOST)]
    how: Annotated[
        Literal["update", "add-roles", "replace"],
        says(
            "`update`: what is said replaces what was there. `add-roles`: the same, but roles are added. `replace`: "
            "the contact is what is said here, and nothing else."
        ),
    ] = "update"
    dry_run: Annotated[bool, says("Only tell what would become of each.")] = False


EXAMPLE: dict[str, Any] = {
    "contacts": [
        {"email": "ann@example.com", "name": "Ann", "roles": ["rider"], "attributes": {"horse": "Arion"}},
        {"email": "ben@example.com", "roles": ["rider", "coach"]},
    ]
}


def entry_of(email: str, fields: ContactFields, where: str, note: Note) -> Entry | None:
    """The entry as it can be kept; what is wrong with it goes to `note`, under the pointer `where`."""
    entry = Entry(
        email=email,
        name=fields.name,
        roles=None if fields.roles is None else tuple(fields.roles),
        attributes=fields.attributes,
        consent_when=fields.consent_when,
        consent_how=fields.consent_how,
    )
    try:
        return checked(entry)
    except BadEntry as error:
        for flaw in error.flaws:
            note(f"{where}/{NAMES.get(flaw.field, flaw.field)}", flaw.text)
        return None


NAMES = {"consent_when": "consentWhen", "consent_how": "consentHow"}
"""What callers call the fields of an entry, where that differs."""
