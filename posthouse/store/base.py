"""The store port: where the record lives. Small, and in batches.

Rules for every adapter:
- What a call answered is durable. `save` answers after the commit.
- Callers give durations; only the store makes times of them, on its own clock.
- Every change is a function of `mail.advance` applied to a freshly read record and written by compare-and-set.
  The store never spells a state.
- `due_at` is the only clock: a claim takes what is due and not leased, oldest first, and skips nothing for ever.
- No count and no offset scan of a growing table on a request path: writers keep counters.
- A store that does not answer raises StoreAway (mail.errors), within 5 seconds; anything else is a bug.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, runtime_checkable

import msgspec

from posthouse.mail.advance import Settlement
from posthouse.mail.lifecycle import State, Status
from posthouse.mail.message import Content, Lane, Message
from posthouse.mail.notice import Notice
from posthouse.mail.unsettled import Resolution, Unsettled, Which
from posthouse.rate import Leased, Rate
from posthouse.store.snapshot import Snapshot


class Key(msgspec.Struct, frozen=True):
    """A caller's own name for a request: unique within `scope`; `fingerprint` tells one payload from another."""

    scope: str
    key: str
    fingerprint: bytes
    seconds: float = 86_400.0


class Draft(msgspec.Struct, frozen=True):
    """A mail to be saved: its record, its content, and the key under which it may be saved only once.

    A record without `expires_at` lives `expire` seconds from when it is first due. `suppressed` are those of its addresses
    that are not to be mailed, and why: it enters with them suppressed."""

    message: Message
    content: Content
    key: Key | None = None
    expire: float = 86_400.0
    suppressed: dict[str, str] = {}


class Saved(msgspec.Struct, frozen=True):
    """What `save` did: the record as it stands; whether it is new; whether the key belongs to another payload."""

    message: Message
    created: bool = True
    conflict: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: `page` (from 1) ascending by creation, else newest first before `cursor` (an id).

    The filters go with the cursor form only; `since` and `until` are microseconds of created_at, `until` excluded;
    `state` goes with `campaign` only. `unsettled`: any of its recipients is in that state.
    """

    limit: int = 20
    page: int | None = None
    cursor: str | None = None
    status: Status | None = None
    state: State | None = None
    recipient: str | None = None
    campaign: str | None = None
    tag: str | None = None
    since: int | None = None
    until: int | None = None
    unsettled: Unsettled | None = None

    @property
    def filtered(self) -> bool:
        """Whether anything but the place in the list is asked for."""
        filters = (self.status, self.state, self.recipient, self.campaign, self.tag, self.unsettled)
        return any(value is not None for value in (*filters, self.since, self.until))


class Listed(msgspec.Struct, frozen=True):
    """A record with as much of its content as a list shows: headers and at most BODY_SHOWN characters of body."""

    message: Message
    content: Content | None
    truncated: bool = False


class Page(msgspec.Struct, frozen=True):
    """A page of records. `next_cursor` is set where more follow; `total` counts all records, without filters.

    A search by several filters may be given up before its end, so that its cost is bounded: then there are fewer items
    than asked for, or none, and `next_cursor` is the last record that was looked at."""

    items: list[Listed]
    next_cursor: str | None = None
    total: int | None = None


class Totals(msgspec.Struct, frozen=True):
    """How many messages were created, first became SENT and first became FAILED within a span of time."""

    created: int = 0
    sent: int = 0
    failed: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """How many messages are due and not leased, and since when (microseconds) the oldest of them has been due."""

    count: int = 0
    since: int | None = None


class Overview(msgspec.Struct, frozen=True):
    """How many messages are in each state, and what waits for a worker in each lane."""

    states: dict[State, int]
    lanes: dict[Lane, Waiting]

    @property
    def oldest_due_at(self) -> int | None:
        """Since when the oldest message that waits has been due."""
        since = [waiting.since for waiting in self.lanes.values() if waiting.since is not None]
        return min(since, default=None)


class UnknownCursor(Exception):
    """The cursor names no record of this store."""


class PageTooFar(Exception):
    """There are rows on that page, but this store counts off only its first `rows`: a cursor reaches all."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"numbered pages reach {rows:,} rows")
        self.rows = rows


class StoreUnfit(Exception):
    """The store answers, but could not keep what it is given safe; the text says why and what to do."""


Heard = Literal["applied", "repeated", "unknown"]
"""What became of a notice: it is in the record now; it was told before; no mail is known for it (yet)."""

PROVIDER = "provider"
"""The scope of the keys under which providers' own names lead to our ids."""
EVENT = "event"
"""The scope of the keys under which producers' eventIds lead to our ids. A store whose ids are eventIds (Elasticsearch)
gives a draft with such a key that id."""
EVENT_SECONDS = 100 * 365 * 86_400.0
"""Seconds that an eventId is remembered: as long as its record."""
NOTICE_SECONDS = 30 * 86_400
"""Seconds that notices, and providers' names for our mail, are kept."""
BODY_SHOWN = 10_000
"""Characters of a body that a list shows."""


class Reads(Protocol):
    """What lists are made of: a store, or a replica of it that may be a little late. See Store."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def page(self, query: Query) -> Page: ...
    async def totals(self, since: int, until: int) -> Totals: ...


class Store(Protocol):
    """See the module's rules. `identity` names this store for ever (a random word made with it); `batch` is how many claims or
    settlements one call takes at most, so that others do not wait for it."""

    identity: str
    batch: int

    async def start(self) -> None:
        """Opens it and checks that its schema is the one this version knows; raises with what to do if not."""
        ...

    async def stop(self) -> None:
        """Finishes what was asked for and closes."""
        ...

    async def ping(self) -> None:
        """Returns if the store can write; raises StoreAway if not."""
        ...

    async def save(self, drafts: Sequence[Draft]) -> list[Saved]:
        """Records new mail durably; one result per draft, in order. Idempotent by key: a draft whose key is known
        (or comes twice in the batch) gives the message that is already there."""
        ...

    async def claim(
        self,
        owner: str,
        limit: int,
        lease: float,
        *,
        lane: Lane | None = None,
        campaign: str | None = None,
        ids: Sequence[str] | None = None,
        overdue: float = 0.0,
        alone: bool = False,
    ) -> list[Message]:
        """Leases up to `limit` messages that are due and not leased, oldest first, for `lease` seconds.

        `campaign` asks for mail of that campaign only, and gives none of one that is not running
        (store.catalog.campaigns); without it mail of campaigns is passed over, but for `ids`. `ids` asks for these only; `overdue` for what has been due for so many seconds. `alone` asks for one message
        that has cost LONELY workers or more (mail.advance); without it such messages are not given.
        """
        ...

    async def lapsed(self, owner: str, limit: int, lease: float) -> list[Message]:
        """Leases up to `limit` messages whose lease has run out, under a new fence, so that they can be settled."""
        ...

    async def expired(self, owner: str, limit: int, lease: float) -> list[Message]:
        """Leases up to `limit` messages that are due and not leased and whose time (`expires_at`) is over."""
        ...

    async def renew(self, owner: str, ids: Sequence[str], lease: float) -> list[str]:
        """Prolongs the leases that `owner` still holds; answers those ids. May be awaited from any event loop."""
        ...

    async def held(self, owner: str) -> list[Message]:
        """All messages that `owner` holds a lease on, lapsed or not."""
        ...

    async def release(self, leases: Sequence[tuple[str, int]], wait: float) -> None:
        """Hands back (id, fence) pairs: due again in `wait` seconds, nothing spent. Stale fences are passed over."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        """Writes what attempts gave; the record as it then stands, or None where the fence was no longer good."""
        ...

    async def hear(self, heard: Sequence[Notice]) -> list[Heard]:
        """Keeps what providers tell, whole, and applies it to the records: once, whenever it comes. What is about a
        provider's name that no settlement has told yet waits for that settlement."""
        ...

    async def lease_rate(self, name: str, wanted: int, rate: Rate) -> Leased:
        """Counts up to `wanted` starts under `name`, for all processes together, in a sliding window (posthouse.rate)."""
        ...

    async def contents(self, ids: Sequence[str]) -> dict[str, Content]:
        """The content of these messages; an id without content (retention) is left out."""
        ...

    async def get(self, id: str) -> tuple[Message, Content | None] | None:
        """One record with its content, or None. Of a body that is gone (`prune`) the head is left."""
        ...

    async def named(self, scope: str, keys: Sequence[str]) -> dict[str, str]:
        """The ids of the mail that was saved under these keys of a scope; without those that lead nowhere, or whose
        time is over."""
        ...

    async def keep(self, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
        """Puts what a template gave in place of the content: (id, fence, content), before it is first sent. Answers the
        ids whose fence was still good; the others are passed over."""
        ...

    async def retry(self, id: str, expire: float) -> Message | None:
        """Makes the failed and unknown recipients due again, each with a fresh budget, the mail living `expire`
        seconds more; None when there is no such message, and the record unchanged when nothing was to retry, or its
        body is gone (`prune`)."""
        ...

    async def resolve(
        self, ids: Sequence[str], how: Resolution, which: Which, by: str, expire: float
    ) -> list[Message]:
        """A person settles those recipients of these messages that are chosen, and that this can be done with, in one
        transaction; a mail whose body is gone (`prune`) is not retried. Answers the messages that changed."""
        ...

    async def page(self, query: Query) -> Page:
        """Records for a list; raises UnknownCursor, and PageTooFar where the store declares so. Page 1 begins with the
        oldest record that is kept. Where records have gone, an id of ours that is older than that one is a cursor at the
        end of the list (retention.precedes): no items."""
        ...

    async def totals(self, since: int, until: int) -> Totals:
        """Counts within [since, until), microseconds; exact for spans that start and end on quarter hours."""
        ...

    async def overview(self) -> Overview:
        """The counts by state and the age of what waits."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """The store as it is now, to be walked at leisure beside the work; let go of at the end of the context."""
        ...

    async def sweep(self) -> None:
        """Forgets what is past its time and owed to nobody (keys), a slice a call. And where the store's clock was set
        back, mail that had been due since it was accepted becomes due by the new time."""
        ...

    async def prune(self, bodies: float | None, records: float | None) -> int:
        """Forgets mail that has nothing open and whose date (mail.retention) is this many seconds past; None keeps it
        for ever. A slice a call, which goes on where the last one stopped and holds up nobody; answers how many messages
        it touched: after 0 the next call may wait a while. Any number of processes may call it at once.

        `bodies`: of the content only its head (mail.retention) is left; `get` and lists show that, `contents` leaves it
        out. `records`: all that is kept of a message goes, its keys too, strictly in the order of creation: one that is
        open or too young keeps what is younger. The counts by state go down, `totals` never do (`gone:…` in
        store.tally)."""
        ...

    async def next_due(self, lane: Lane | None = None) -> float | None:
        """Seconds until the next message that `claim` would give (of a lane, and no campaign) is due, 0 when one is;
        None without."""
        ...


@runtime_checkable
class Wakes(Protocol):
    """A store that can tell other processes of new mail."""

    async def listen(self, woken: Callable[[Lane], None]) -> None:
        """Calls `woken` for each lane in which any process saves mail that is due, until cancelled. A hint: it may be
        lost, doubled or late."""
        ...
