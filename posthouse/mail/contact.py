"""A contact: somebody who may be written to, known by an address. What may stand in one, and what a write makes of it.

Rules: an address is one contact, in whatever case it is written. What an entry does not say stays as it was; an
attribute that is nothing (null) is taken away.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from posthouse.mail.address import CONTROL, MAX_NAME, normalise
from posthouse.mail.errors import BadAddress

EVERYBODY = "*"
"""The role that everybody has and nobody is given."""
MAX_ROLES = 1_000
"""Roles that one entry gives."""
MAX_ROLE = 64
"""Characters of a role."""
MAX_ATTRIBUTES = 16_384
"""Bytes of the attributes that one entry gives, as JSON."""
MAX_ATTRIBUTE = 64
"""Characters of an attribute's name."""
MAX_WORDS = 500
"""Characters of each of the words about a consent."""
TAKEN = frozenset(("email", "name", "userName", "roles", "unsubscribeUrl"))
"""What a template knows of everybody: no names of attributes."""

How = Literal["update", "add-roles", "replace"]
"""What an entry does to the contact that is there: what it says replaces what was said; the same, but its roles are
added; or the contact becomes what the entry says and nothing else."""
Written = Literal["created", "updated", "unchanged"]


class Contact(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """As it is kept: `email` normalised, `roles` sorted, each once. When and how they consented is in words of whoever
    wrote it down. Times are microseconds."""

    email: str
    name: str = ""
    roles: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
    consent_when: str = ""
    consent_how: str = ""
    created_at: int = 0
    updated_at: int = 0


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What somebody says of a contact; None is nothing said. Attributes replace those of the same name."""

    email: str
    name: str | None = None
    roles: tuple[str, ...] | None = None
    attributes: dict[str, Any] | None = None
    consent_when: str | None = None
    consent_how: str | None = None


class Flaw(msgspec.Struct, frozen=True):
    """Why an entry cannot be taken: which of its fields, and what is wrong, in words that repeat nothing of it."""

    field: str
    text: str


class BadEntry(Exception):
    """An entry that cannot be taken, with every flaw in it."""

    def __init__(self, flaws: list[Flaw]) -> None:
        super().__init__("; ".join(f"{flaw.field}: {flaw.text}" for flaw in flaws))
        self.flaws = flaws


def checked(entry: Entry) -> Entry:
    """The entry as it can be kept: its address normalised, its roles sorted. Raises BadEntry."""
    try:
        email, flaws = normalise(entry.email.strip(" ")), list(_flaws(entry))
    except BadAddress as error:
        raise BadEntry([Flaw("email", error.text), *_flaws(entry)]) from None
    if flaws:
        raise BadEntry(flaws)
    roles = entry.roles and tuple(sorted(set(entry.roles)))
    return msgspec.structs.replace(entry, email=email, roles=roles)


def written(entry: Entry, was: Contact | None, how: How, at: int) -> Contact:
    """The contact after a checked entry at a time; `was` itself where that changes nothing."""
    base = Contact(email=entry.email) if was is None or how == "replace" else was
    said = {name: value for name in _PLAIN if (value := getattr(entry, name)) is not None}
    if how == "add-roles":
        said["roles"] = tuple(sorted({*base.roles, *(entry.roles or ())}))
    if entry.attributes is not None:
        merged = {**base.attributes, **entry.attributes}
        said["attributes"] = {name: value for name, value in merged.items() if value is not None}
    created = at if was is None else was.created_at
    updated = at if was is None else was.updated_at
    made = msgspec.structs.replace(base, **said, created_at=created, updated_at=updated)
    if was is None:
        return made
    return was if made == was else msgspec.structs.replace(made, updated_at=at)


_PLAIN = ("email", "name", "roles", "consent_when", "consent_how")


def role_fault(role: str) -> str | None:
    """What is wrong with a role, if anything is."""
    if not 1 <= len(role) <= MAX_ROLE or role != role.strip():
        return f"must have 1 to {MAX_ROLE} characters, and no space at its ends"
    if CONTROL.search(role) or {";", ","} & set(role) or role == EVERYBODY:
        return "must not be *, nor have a comma, a ; or a control character in it"
    return None


def _flaws(entry: Entry) -> Iterator[Flaw]:
    """All but the address."""
    if entry.name and (CONTROL.search(entry.name) or len(entry.name) > MAX_NAME):
        yield Flaw("name", f"must have {MAX_NAME} characters at most, and no control characters")
    for role in entry.roles or ():
        if fault := role_fault(role):
            yield Flaw("roles", fault)
            break
    if len(entry.roles or ()) > MAX_ROLES:
        yield Flaw("roles", f"must not be more than {MAX_ROLES}")
    if entry.attributes:
        yield from _attribute_flaws(entry.attributes)
    for name in ("consent_when", "consent_how"):
        words = getattr(entry, name)
        if words and (CONTROL.search(words) or len(words) > MAX_WORDS):
            yield Flaw(name, f"must have {MAX_WORDS} characters at most, and no control characters")


def _attribute_flaws(attributes: dict[str, Any]) -> Iterator[Flaw]:
    if any(not 1 <= len(name) <= MAX_ATTRIBUTE or CONTROL.search(name) for name in attributes):
        text = f"must have names of 1 to {MAX_ATTRIBUTE} characters, none of them control"
        yield Flaw("attributes", text)
    if not TAKEN.isdisjoint(attributes):
        yield Flaw("attributes", f"must not be named {', '.join(sorted(TAKEN))}: templates know these anyway")
    encoded = msgspec.json.encode(attributes)
    if len(encoded) > MAX_ATTRIBUTES:
        yield Flaw("attributes", f"must not have more than {MAX_ATTRIBUTES} bytes as JSON")
    if b"\\u0000" in encoded:
        yield Flaw("attributes", "must not have the character NUL in them")
