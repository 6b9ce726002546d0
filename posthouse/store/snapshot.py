"""What an audit sees of a store: all of it at one moment, in slices, so that memory stays small.

`Beside` is what is kept to find records by, and what is counted of them, each kind under names of its own. It is never the
truth; it must only follow from the records.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from posthouse.mail.campaign import Campaign, Counts
from posthouse.mail.message import Message

Kind = Literal["counter", "share", "recipient", "tag"]
"""Of what is kept beside the records: a counter (name, bucket), as store.tally has them; a spot of a breakdown (campaign,
domain, state, category), without what is gone; what leads to the record at a place from a recipient (email, place) or a tag
(tag, place)."""

Name = tuple[str | int, ...]
Beside = tuple[Name, int]
"""A name, and how many it says there are."""


class Kept(msgspec.Struct, frozen=True):
    """A record. `beside` is what the store keeps outside the record, under the names of Message's attributes (due_at,
    owner, status, ...), as they should be equal; `content` tells whether its content is there, whole; `place` is what
    recipients and tags lead to it by; `amiss` are the parts of what others read of it that say something else."""

    message: Message
    beside: dict[str, Any]
    content: bool
    place: int = 0
    amiss: Sequence[str] = ()


class KeptCampaign(msgspec.Struct, frozen=True):
    """A campaign: its counts, as counters have them; how many people it has frozen that have no message yet, and how many
    of those have one all the same; how many slices are left of who was given with it. `beside` is as with records."""

    campaign: Campaign
    beside: dict[str, Any]
    counts: Counts
    waiting: int
    twice: int
    given: int


class Roster(msgspec.Struct, frozen=True):
    """How many contacts have each role ("*": how many there are), by all ways that it is kept: as it is `counted`, as it is
    `listed` for audiences, as the contacts `say` themselves, and where both do."""

    counted: dict[str, int]
    listed: dict[str, int]
    said: dict[str, int]
    both: dict[str, int]


class Stray(msgspec.Struct, frozen=True):
    """Something kept for what is not there: its `kind` (content, key, ...), the `name` that it is found by, safe to show,
    and what that is a name `of`."""

    kind: str
    name: str
    of: str = "record"


class Snapshot(Protocol):
    """The whole store at one moment; what is written meanwhile is not seen."""

    async def walk(self, after: str | None, limit: int) -> list[Kept]:
        """Up to `limit` records in the order of creation: from the first one, or from the one behind the id `after`,
        which an earlier slice ended with. Empty at the end."""
        ...

    async def kinds(self) -> list[Kind]:
        """What is kept beside the records here."""
        ...

    async def beside(self, kind: Kind, after: Name | None, limit: int) -> list[Beside]:
        """Up to about `limit` of a kind that are not 0, shards added up, from the first one or from behind the name `after`.
        Empty at the end."""
        ...

    async def campaigns(self, after: str | None, limit: int) -> list[KeptCampaign]:
        """Up to `limit` campaigns, by id, behind the id `after`."""
        ...

    async def roster(self) -> Roster | None:
        """None where no contacts are kept."""
        ...

    async def strays(self, limit: int) -> list[Stray]:
        """Up to `limit` things that are kept for what is not there. Keys past their time are none: they are owed to nobody."""
        ...


@runtime_checkable
class Snapped(Protocol):
    """A store, or a catalog of its own, that can be walked as it is now, beside the work."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]: ...
