"""What a batch of entries does to the rows that the SQL stores keep of contacts: decided once, written by each.

Rules: entries take effect in their order, so an address that comes twice is created and then updated.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from posthouse.mail.address import folded
from posthouse.mail.contact import EVERYBODY, Contact, Entry, How, Written, written

COLUMNS = "key, email, name, roles, attributes, consent_when, consent_how, created_at, updated_at"

Row = tuple[str, str, str, str, str, str, str, int, int]
"""The COLUMNS of a contact; roles and attributes are JSON."""
Member = tuple[str, str]
"""A role, and the key of somebody who has it."""

_read_roles = msgspec.json.Decoder(tuple[str, ...]).decode
_read_attributes = msgspec.json.Decoder(dict[str, Any]).decode


class Change(msgspec.Struct):
    """What is to be written: whole `rows`, memberships to add and to take away, and what to add to which role's count."""

    rows: list[Row]
    joined: list[Member]
    left: list[Member]
    counts: list[tuple[str, int]]


def decide(
    entries: Sequence[Entry], how: How, stands: dict[str, Contact], at: int
) -> tuple[list[Written], Change]:
    """What became of each entry, and the change; `stands` are the contacts that are there, by key."""
    now, told = dict(stands), list[Written]()
    for entry in entries:
        key = folded(entry.email)
        was = now.get(key)
        now[key] = written(entry, was, how, at)
        told.append("created" if was is None else "unchanged" if now[key] is was else "updated")
    after = {key: contact for key, contact in now.items() if contact is not stands.get(key)}
    return told, _change({key: stands[key] for key in after if key in stands}, after)


def removal(contact: Contact) -> Change:
    """One less."""
    return _change({folded(contact.email): contact}, {})


def contact_of(row: Sequence[Any]) -> Contact:
    """A row of COLUMNS."""
    _, email, name, roles, attributes, when, how, created_at, updated_at = row
    return Contact(
        email=email,
        name=name,
        roles=_read_roles(roles),
        attributes=_read_attributes(attributes),
        consent_when=when,
        consent_how=how,
        created_at=created_at,
        updated_at=updated_at,
    )


def _row(key: str, contact: Contact) -> Row:
    return (
        key,
        contact.email,
        contact.name,
        msgspec.json.encode(contact.roles).decode(),
        msgspec.json.encode(contact.attributes).decode(),
        contact.consent_when,
        contact.consent_how,
        contact.created_at,
        contact.updated_at,
    )


def _change(before: dict[str, Contact], after: dict[str, Contact]) -> Change:
    was, now = _members(before), _members(after)
    counts = {EVERYBODY: len(after) - len(before)}
    for members, step in ((now - was, 1), (was - now, -1)):
        for role, _ in members:
            counts[role] = counts.get(role, 0) + step
    return Change(
        rows=[_row(key, contact) for key, contact in sorted(after.items())],
        joined=sorted(now - was),
        left=sorted(was - now),
        counts=sorted((role, step) for role, step in counts.items() if step),
    )


def _members(contacts: dict[str, Contact]) -> set[Member]:
    return {(role, key) for key, contact in contacts.items() for role in contact.roles}
