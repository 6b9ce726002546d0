"""The catalog's trail: who did what, and when. It is only ever added to.

Rules: an act is noted in the transaction of what it did (`note_acts` of each adapter), so neither is there without the
other. `about` is a kind and a name (`campaign:<id>`, `template:<id>`, `contact:<email>`, `suppression:<email>`); `act` is
a word in the past (`created`, `paused`); `detail` is what a reader would ask next, safe to show, never a secret.
"""

from typing import Any, Protocol

import msgspec


class Deed(msgspec.Struct, frozen=True):
    """What was done, to what."""

    act: str
    about: str
    detail: dict[str, Any] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One act: `id` grows, `at` is in microseconds, `by` names a key, a token's subject or a person at the command
    line."""

    id: int
    at: int
    by: str
    act: str
    about: str
    detail: dict[str, Any] = {}


class Trail(Protocol):
    """See the module."""

    async def note(self, by: str, deed: Deed) -> None:
        """Notes what was done elsewhere: to mail, whose store may be another one. Each mail's history tells it too."""
        ...

    async def acts(self, limit: int, cursor: int | None = None, about: str | None = None) -> list[Entry]:
        """The newest first, before the id `cursor`; only those `about` one thing if it is given."""
        ...
