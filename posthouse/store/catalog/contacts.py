"""The catalog's contacts: who may be written to, and in which roles.

Rules: an address is one contact (mail.address.folded). Lists go by that key. How many have a role is kept in the
transaction of every write, so no request counts a table.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from posthouse.mail.contact import Contact, Entry, How, Written

COUNTED = 10_000
"""Memberships of several roles up to which it is counted how many people they are."""


class Headcount(msgspec.Struct, frozen=True):
    """How many people there are in any of some roles: from `least` to `most`, which are the same where that is known."""

    least: int
    most: int


class RoleCount(msgspec.Struct, frozen=True):
    """A role and how many people have it."""

    role: str
    count: int


class Contacts(Protocol):
    """See the module. Everybody is the role "*"."""

    async def write_contacts(
        self, entries: Sequence[Entry], how: How = "update", *, dry_run: bool = False
    ) -> list[Written]:
        """Writes what checked entries say, in their order, and tells what became of each; a `dry_run` only tells. A few
        hundred share a transaction, so after StoreAway the first of them may be written. Harmless twice."""
        ...

    async def contact(self, email: str) -> Contact | None:
        """The contact of an address, in whatever case."""
        ...

    async def remove_contact(self, email: str) -> bool:
        """Forgets one; whether it was there."""
        ...

    async def contacts(
        self, limit: int, after: str | None = None, roles: Sequence[str] = ("*",)
    ) -> list[Contact]:
        """Those with any of these roles, each once, by address; those that come after the address `after`."""
        ...

    async def contact_count(self, roles: Sequence[str] = ("*",)) -> Headcount:
        """How many have any of these roles. It is exact for one role, and for several with COUNTED memberships at most."""
        ...

    async def contact_roles(self, limit: int, after: str | None = None) -> list[RoleCount]:
        """The roles that somebody has, by name; those after the name `after`."""
        ...
