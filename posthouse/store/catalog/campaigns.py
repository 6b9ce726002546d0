"""The catalog's campaigns. They live in the database of their mail: a slice of an audience becomes messages in one
transaction, and the counts change with the messages that they count.

Rules: an audience is frozen once; each address is in it once; a crash at any moment loses and doubles nobody: whoever
comes next goes on where the last commit was. Every act is written down with who did it (store.catalog.trail).
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from posthouse.mail.campaign import Act, Campaign, Counts, Person
from posthouse.mail.lifecycle import State
from posthouse.store.base import Draft


class Impossible(Exception):
    """The act does not fit the phase the campaign is in; the text says why."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which recipients of a campaign: in one of `states`, of one of these outcome `categories` (mail.outcome), at one of
    these `domains`; empty is any."""

    states: tuple[State, ...] = ()
    categories: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


class Share(msgspec.Struct, frozen=True):
    """How many recipients share a domain, a state, and the category of their last outcome ("" without one)."""

    domain: str
    state: State
    category: str
    count: int


Slice = Literal["more", "done"]

MakeDraft = Callable[[Campaign, Person], Draft]
"""Makes the mail of one of the audience: lane bulk, campaign set, its template by reference. Pure but for the id."""


class Campaigns(Protocol):
    """See the module."""

    async def add_campaign(self, campaign: Campaign, recipients: Sequence[Person], by: str) -> Campaign:
        """Keeps a new one, with the recipients that were given with it, not yet frozen; answers at once, however many."""
        ...

    async def campaign(self, id: str) -> tuple[Campaign, Counts] | None:
        """One of them with its counts, from one moment."""
        ...

    async def campaigns(self, limit: int, cursor: str | None = None) -> list[tuple[Campaign, Counts]]:
        """Newest first, before the id `cursor`."""
        ...

    async def working(self, limit: int) -> list[Campaign]:
        """Those that workers have to do with now: running or to be started (their time has come), not yet completed, and
        canceled ones with mail that is still open; by priority, then the longest untouched first."""
        ...

    async def act(self, id: str, act: Act, by: str) -> Campaign | None:
        """Moves its phase (mail.campaign.PHASES) at once for all processes; None where there is no such campaign.
        Raises Impossible."""
        ...

    async def note_job(self, id: str, queue_job_id: str) -> None:
        """Remembers the name that its job has in the queue."""
        ...

    async def freeze(self, id: str, people: Sequence[Person], *, last: bool) -> int:
        """Adds these to the audience, each address once; the last slice completes it. Answers how many were new."""
        ...

    async def freeze_contacts(self, id: str) -> Slice:
        """Adds a slice of the contacts that have its roles to the audience, as they are now; goes on where it stopped."""
        ...

    async def enlist(self, id: str, limit: int, make: MakeDraft) -> Slice:
        """Makes messages of up to `limit` of the frozen audience, in one transaction that takes them from it; people on
        the suppression list become messages that are suppressed. After the last the campaign is `ready`."""
        ...

    async def cancel_slice(self, id: str, limit: int) -> Slice:
        """Cancels up to `limit` open messages of a canceled campaign; what is in the air is marked, and ends as sent or
        canceled."""
        ...

    async def retry_slice(
        self, id: str, chosen: Chosen, limit: int, cursor: str | None
    ) -> tuple[int, str | None]:
        """Makes those that are chosen, failed or unknown, due again; how many, and where to go on (None at the end)."""
        ...

    async def shares(self, id: str) -> list[Share]:
        """The breakdown by domain, state and category; the most first, at most 1,000."""
        ...

    async def complete(self, id: str) -> Campaign | None:
        """Notes the time when nothing is open any more, if that is so; the campaign then, else None."""
        ...
