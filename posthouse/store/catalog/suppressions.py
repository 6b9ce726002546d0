"""The catalog's suppression list (mail.suppression): kept with who changed it, asked before every mail.

Rules: an entry that has ended is as good as gone, for lists and look-ups too. Every change is in the trail, about
`suppression:<address>` with the address as it is compared (`mail.address.folded`).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from posthouse.mail.address import folded
from posthouse.mail.message import Lane
from posthouse.mail.suppression import SLICE, Reach, Reason, Suppression
from posthouse.store.catalog.trail import Deed

__all__ = ["SLICE", "Suppressions", "about", "added", "removed"]


class Suppressions(Protocol):
    """See the module."""

    async def suppress(self, entries: Sequence[Suppression], by: str) -> int:
        """Adds entries, up to SLICE; their `by`, `at` and `id` are made here. Answers how many are new or last longer
        now: what is there is never weakened."""
        ...

    async def unsuppress(self, emails: Sequence[str], by: str, lane: Reach | None = None) -> int:
        """Removes the entries of these addresses, up to SLICE: those of a lane, or all; answers how many entries."""
        ...

    async def suppressions(
        self,
        limit: int,
        cursor: int | None = None,
        *,
        email: str | None = None,
        reason: Reason | None = None,
    ) -> list[Suppression]:
        """The newest first, before the id `cursor`; those of an address, or for a reason, if one is given."""
        ...

    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]:
        """Those of the addresses that are not to be mailed in a lane, each as it was given, with an entry that says
        so."""
        ...

    async def suppressing(self) -> list[Lane]:
        """The lanes that there is any entry for: asked once a second, so that an empty list costs no mail anything."""
        ...


def about(email: str) -> str:
    """What the trail calls the entries of an address."""
    return f"suppression:{folded(email)}"


def added(entry: Suppression) -> Deed:
    """What the trail says of an entry that is new, or lasts longer now."""
    detail: dict[str, Any] = {"lane": entry.lane, "reason": entry.reason}
    if entry.note:
        detail["note"] = entry.note
    if entry.expires_at is not None:
        detail["expires_at"] = entry.expires_at
    return Deed("suppressed", about(entry.email), detail)


def removed(entry: Suppression) -> Deed:
    """What the trail says of an entry that somebody took off the list."""
    return Deed("unsuppressed", about(entry.email), {"lane": entry.lane, "reason": entry.reason})
