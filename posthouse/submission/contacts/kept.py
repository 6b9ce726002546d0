"""The handlers of contacts, and what the reference says of each.

Rules: a wrong entry among many is named, and the others are written. A file goes out as it is read; what is in it can be
read in again.
"""

from collections.abc import AsyncGenerator
from typing import Annotated

import msgspec

from posthouse.contact_file import COLUMNS, write_contacts, write_head
from posthouse.mail.address import normalise
from posthouse.mail.contact import EVERYBODY, Entry, role_fault
from posthouse.mail.errors import BadAddress
from posthouse.store.catalog.contacts import Contacts
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, json_answer
from posthouse.submission.contacts.request import (
    EXAMPLE,
    MOST,
    ContactFields,
    ContactsRequest,
    entry_of,
)
from posthouse.submission.contacts.views import (
    ContactsView,
    ContactView,
    ManyWrittenView,
    RolesView,
    RoleView,
    WrittenView,
    show_contact,
    show_written,
)
from posthouse.submission.endpoint import Call, Handler
from posthouse.submission.logs import read_arguments
from posthouse.submission.paging import CURSOR, LIST_LIMIT, page_of, read_place
from posthouse.submission.problems import Fault, Finding, Problem, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.submission.shape import read

SLICE = 500
"""Contacts that a file is read by."""

EMAIL = Parameter(
    "email",
    Annotated[str, msgspec.Meta(min_length=3, max_length=254)],
    "An address, in whatever case.",
    where="path",
    example="ann@example.com",
)
ROLE = Parameter(
    "role",
    str,
    "Only who has one of these roles, separated by commas.",
)
WRITE_MANY = Doc(
    operation="writeContacts",
    group="Contacts",
    summary="Write many contacts",
    text=f"Up to {MOST:,}. An address is one contact: who is known is updated. Harmless twice.",
    replies=(Reply(status=200, text="What became of each.", types=(ManyWrittenView,)),),
    problems=("validation",),
    examples={"two": EXAMPLE},
)
LIST = Doc(
    operation="listContacts",
    group="Contacts",
    summary="List contacts",
    text="By address.",
    parameters=(LIST_LIMIT, CURSOR, ROLE),
    replies=(Reply(status=200, text="A page.", types=(ContactsView,)),),
    problems=("validation",),
)
LIST_ROLES = Doc(
    operation="listRoles",
    group="Contacts",
    summary="List roles",
    text="By name, each with how many have it.",
    parameters=(LIST_LIMIT, CURSOR),
    replies=(Reply(status=200, text="A page.", types=(RolesView,)),),
    problems=("validation",),
)
EXPORT = Doc(
    operation="exportContacts",
    group="Contacts",
    summary="Fetch contacts as a file",
    text=f"CSV (RFC 4180), a line each, as it is read: {', '.join(COLUMNS)}. `posthouse contacts import` reads it.",
    parameters=(ROLE,),
    replies=(Reply(status=200, text="The file.", media="text/csv", headers=("Content-Disposition",)),),
    problems=("validation",),
)
GET = Doc(
    operation="getContact",
    group="Contacts",
    summary="Show a contact",
    parameters=(EMAIL,),
    replies=(Reply(status=200, text="The contact.", types=(ContactView,)),),
)
PUT = Doc(
    operation="putContact",
    group="Contacts",
    summary="Write a contact",
    text="It is what is said here, and nothing else.",
    parameters=(EMAIL,),
    replies=(
        Reply(status=200, text="It was there; as it is now.", types=(ContactView,)),
        Reply(status=201, text="It is new.", types=(ContactView,)),
    ),
    problems=("validation",),
    examples={"a rider": {"name": "Ann", "roles": ["rider"], "attributes": {"horse": "Arion"}}},
)
REMOVE = Doc(
    operation="removeContact",
    group="Contacts",
    summary="Forget a contact",
    text="Mail that was sent to the address, and its place on the suppression list, stay what they are.",
    parameters=(EMAIL,),
    replies=(Reply(status=204, text="It is forgotten."),),
)


def write_many(contacts: Contacts) -> Handler:
    """The handler of POST /api/emails/contacts."""
    decoder = msgspec.json.Decoder(ContactsRequest)

    async def handle(call: Call) -> Answer:
        request, findings = read(call.body, decoder)
        if not findings and not 0 < len(request.contacts) <= MOST:
            findings.append(Finding("/contacts", f"must have 1 to {MOST} entries"))
        if findings:
            raise invalid(findings)
        good: list[Entry] = []
        items: list[WrittenView | None] = []
        for n, each in enumerate(request.contacts):
            faults: list[Fault] = []
            entry = entry_of(
                each.email, each, f"/contacts/{n}", lambda where, text, f=faults: f.append(Fault(where, text))
            )
            if entry is not None:
                good.append(entry)
            items.append(None if entry else WrittenView("wrong", faults))
        told = await in_time(contacts.write_contacts(good, request.how, dry_run=request.dry_run))
        results = iter(told)
        shown = [each or WrittenView(next(results), []) for each in items]
        return json_answer(200, show_written(shown, request.dry_run))

    return handle


def list_contacts(contacts: Contacts) -> Handler:
    """The handler of GET /api/emails/contacts."""

    async def handle(call: Call) -> Answer:
        arguments = read_arguments(call.query)
        limit, cursor = read_place(arguments)
        found = await in_time(contacts.contacts(limit + 1, cursor, _roles(arguments)))
        page, place = page_of(found, limit, lambda each: each.email)
        return json_answer(200, ContactsView([show_contact(each) for each in page], place))

    return handle


def list_roles(contacts: Contacts) -> Handler:
    """The handler of GET /api/emails/contacts/roles."""

    async def handle(call: Call) -> Answer:
        limit, cursor = read_place(read_arguments(call.query))
        found = await in_time(contacts.contact_roles(limit + 1, cursor))
        page, place = page_of(found, limit, lambda each: each.role)
        return json_answer(200, RolesView([RoleView(each.role, each.count) for each in page], place))

    return handle


def export(contacts: Contacts) -> Handler:
    """The handler of GET /api/emails/contacts.csv."""

    async def handle(call: Call) -> Answer:
        roles = _roles(read_arguments(call.query))
        headers = [
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"content-disposition", b'attachment; filename="contacts.csv"'),
        ]
        return Answer(200, headers, stream=_lines(contacts, roles))

    return handle


def get_contact(contacts: Contacts) -> Handler:
    """The handler of GET /api/emails/contacts/{email}."""

    async def handle(call: Call) -> Answer:
        found = await in_time(contacts.contact(_email(call)))
        if found is None:
            raise _missing()
        return json_answer(200, show_contact(found))

    return handle


def put_contact(contacts: Contacts) -> Handler:
    """The handler of PUT /api/emails/contacts/{email}."""
    decoder = msgspec.json.Decoder(ContactFields)

    async def handle(call: Call) -> Answer:
        request, findings = read(call.body, decoder)
        entry = entry_of(
            call.path["email"], request, "", lambda where, text: findings.append(Finding(where, text))
        )
        if entry is None or findings:
            raise invalid(findings)
        (told,) = await in_time(contacts.write_contacts([entry], "replace"))
        found = await in_time(contacts.contact(entry.email))
        if found is None:  # somebody forgot it meanwhile
            raise _missing()
        return json_answer(201 if told == "created" else 200, show_contact(found))

    return handle


def remove_contact(contacts: Contacts) -> Handler:
    """The handler of DELETE /api/emails/contacts/{email}."""

    async def handle(call: Call) -> Answer:
        if not await in_time(contacts.remove_contact(_email(call))):
            raise _missing()
        return Answer(204, [])

    return handle


async def _lines(contacts: Contacts, roles: tuple[str, ...]) -> AsyncGenerator[bytes]:
    yield write_head().encode()
    after: str | None = None
    while found := await in_time(contacts.contacts(SLICE, after, roles)):
        yield write_contacts(found).encode()
        after = found[-1].email


def _roles(arguments: dict[str, str]) -> tuple[str, ...]:
    """Which are asked for; raises Problem for what can be no role."""
    given = tuple(role for each in arguments.get("role", "").split(",") if (role := each.strip()))
    if any(role != EVERYBODY and role_fault(role) for role in given):
        raise invalid([Finding("/role", "must be roles, separated by commas")])
    return given or (EVERYBODY,)


def _email(call: Call) -> str:
    try:
        return normalise(call.path["email"])
    except BadAddress:
        raise _missing() from None


def _missing() -> Problem:
    return Problem("not-found", "There is no contact with this address.")
