"""The catalog's campaigns. They live in the database of their mail: a slice of an audience becomes messages in one
transaction, and the counts change with the messages that they count.

Rules: an audience is frozen once; each address (whatever its case) is in it once; a crash at any moment loses and doubles
nobody: whoever comes next goes on where the last commit was, and several may at once. A call that takes a slice holds up no
other writer for long, so it may take fewer than `limit`. Every act is written down with who did it (store.catalog.trail).
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from posthouse.mail.campaign import Act, Campaign, Counts, Person
from posthouse.mail.lifecycle import State
from posthouse.mail.message import Content, Message
from posthouse.mail.outcome import Category
from posthouse.store.base import Draft


class Impossible(Exception):
    """The act does not fit what the campaign is; the text says why."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which recipients of a campaign: in one of `states`, of one of these outcome `categories` (mail.outcome), at one of
    these `domains`; empty is any."""

    states: tuple[State, ...] = ()
    categories: tuple[Category, ...] = ()
    domains: tuple[str, ...] = ()


class Share(msgspec.Struct, frozen=True):
    """How many recipients share a domain, a state, and the category of their last outcome ("" without one). What is
    being sent is counted as what it was before: pending or deferred."""

    domain: str
    state: State
    category: str
    count: int


class Retried(msgspec.Struct, frozen=True):
    """How many are due again, and where to go on; None at the end."""

    count: int
    cursor: str | None


Mails = list[tuple[Message, Content]]
"""Mail, each with what it says."""
Slice = Literal["more", "done"]

MakeDraft = Callable[[Campaign, Person], Draft]
"""Makes the mail of one of the audience: lane bulk, campaign set, its template by reference. Pure but for the id."""


@runtime_checkable
class Campaigns(Protocol):
    """See the module."""

    async def add_campaign(self, campaign: Campaign, recipients: Sequence[Person], by: str) -> Campaign:
        """Keeps a new one, with the recipients that were given with it, not yet frozen; answers at once, however many.
        Its times are made here. An id that is there already gives what is there."""
        ...

    async def campaign(self, id: str) -> tuple[Campaign, Counts] | None:
        """One of them with its counts, from one moment. Who is frozen and has no message yet counts as pending."""
        ...

    async def campaigns(
        self, limit: int, cursor: str | None = None, template: str | None = None
    ) -> list[tuple[Campaign, Counts]]:
        """Newest first, before the id `cursor`; those that used a template, if one is named. Raises UnknownCursor."""
        ...

    async def working(self, limit: int) -> list[Campaign]:
        """Those that workers have to do with now, asked once a second: canceled ones with mail that may be open; then
        those that are running, and those whose time to start has come, by priority and age. None that is paused or
        completed."""
        ...

    async def act(self, id: str, act: Act, by: str, detail: dict[str, Any] | None = None) -> Campaign | None:
        """Moves its phase (mail.campaign.PHASES) at once for all processes; None where there is no such campaign. What
        changes nothing is not written down, but for a retry, whose `detail` says what was chosen. Raises Impossible."""
        ...

    async def note_job(self, id: str, queue_job_id: str) -> None:
        """Remembers the name that its job has in the queue."""
        ...

    async def freeze(self, id: str, people: Sequence[Person], *, last: bool) -> int:
        """Adds these to the audience; the last slice completes it. Answers how many were new; nobody is, once it is
        complete or canceled. Begun anew after a crash, it adds those that are missing."""
        ...

    async def freeze_kept(self, id: str) -> Slice:
        """Adds a slice of the audience that is kept here: the recipients that were given with it, else the contacts
        that have its roles, as they are now; goes on where it stopped, and completes it in the end. Of a canceled one it
        forgets who was given with it."""
        ...

    async def enlist(self, id: str, limit: int, make: MakeDraft) -> Slice:
        """Makes messages of up to `limit` of the frozen audience, in the transaction that takes them from it; people on
        the suppression list become messages that are suppressed. After the last it is `ready`. Nothing is made before
        the audience is complete, unless it was canceled."""
        ...

    async def draw(self, id: str, limit: int, make: MakeDraft, owner: str, lease: float) -> Mails:
        """The same for who sends them at once: they are leased to `owner` for `lease` seconds, as `claim` does it, and who is
        suppressed is none of them. Empty where nobody is left, or all that are left are others' at this moment, or the
        campaign is not running."""
        ...

    async def cancel_slice(self, id: str, limit: int) -> Slice:
        """Cancels up to `limit` open messages of a canceled campaign; what is in the air is marked, and ends as sent or
        canceled. Done when there is no more of either for now."""
        ...

    async def choose(self, id: str, chosen: Chosen) -> list[Share]:
        """What `retry_slice` would find: how many that have failed or are unknown, by state and category, over all
        domains (""); the most first. Bodies that retention took are counted, too."""
        ...

    async def retry_slice(
        self, id: str, chosen: Chosen, limit: int, expire: float, cursor: str | None = None
    ) -> Retried:
        """Looks at up to `limit` that have failed or are unknown, from `cursor` on, and makes those that are chosen due
        again, each with a fresh budget, the mail living `expire` seconds more."""
        ...

    async def shares(self, id: str) -> list[Share]:
        """The breakdown by domain, state and category; the most first, at most 1,000."""
        ...

    async def complete(self, id: str) -> Campaign | None:
        """Notes the time when nothing is open any more, if that is so; the campaign then, else None."""
        ...
