"""What contacts look like outside: the Structs of the answers, which are their schema too."""

from typing import Annotated, Any, Literal

import msgspec

from posthouse.mail.contact import Contact
from posthouse.submission.bulk.views import PlaceView
from posthouse.submission.problems import Fault
from posthouse.submission.times import show_time
from posthouse.submission.views import Time


class ContactView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Somebody who may be written to."""

    email: str
    name: str
    roles: list[str]
    attributes: dict[str, Any]
    consent_when: str
    consent_how: str
    created_at: Time | None
    updated_at: Time | None


class ContactsView(msgspec.Struct, frozen=True):
    """A page of contacts, by address."""

    items: list[ContactView]
    pagination: PlaceView


class RoleView(msgspec.Struct, frozen=True):
    """A role, and how many have it."""

    role: str
    count: int


class RolesView(msgspec.Struct, frozen=True):
    """A page of roles, by name."""

    items: list[RoleView]
    pagination: PlaceView


class WrittenView(msgspec.Struct, frozen=True):
    """What became of one entry."""

    result: Literal["created", "updated", "unchanged", "wrong"]
    errors: Annotated[
        list[Fault], msgspec.Meta(description="Of a wrong one, with pointers into the request.")
    ]


class ManyWrittenView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of each entry, in their order."""

    created: int
    updated: int
    unchanged: int
    wrong: int
    dry_run: bool
    items: list[WrittenView]


class WrongLineView(msgspec.Struct, frozen=True):
    """What is wrong with a line of a file."""

    line: int
    column: Annotated[str, msgspec.Meta(description="Empty where it is the line itself.")]
    error: str


class ContactsImportedView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of a file of contacts."""

    created: int
    updated: int
    unchanged: int
    wrong: Annotated[int, msgspec.Meta(description="Lines that were not taken.")]
    dry_run: bool
    errors: Annotated[list[WrongLineView], msgspec.Meta(description="The first hundred.")]


def show_contact(contact: Contact) -> ContactView:
    """One contact."""
    return ContactView(
        email=contact.email,
        name=contact.name,
        roles=list(contact.roles),
        attributes=contact.attributes,
        consent_when=contact.consent_when,
        consent_how=contact.consent_how,
        created_at=show_time(contact.created_at),
        updated_at=show_time(contact.updated_at),
    )


def show_written(items: list[WrittenView], dry_run: bool) -> ManyWrittenView:
    """All of a request."""
    results = [each.result for each in items]
    return ManyWrittenView(
        created=results.count("created"),
        updated=results.count("updated"),
        unchanged=results.count("unchanged"),
        wrong=results.count("wrong"),
        dry_run=dry_run,
        items=items,
    )
