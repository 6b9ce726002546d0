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

from collections.abc import Sequence
from typing import Protocol

import msgspec

from posthouse.mail.advance import Settlement
from posthouse.mail.lifecycle import State, Status
from posthouse.mail.message import Content, Lane, Message


class Key(msgspec.Struct, frozen=True):
    """A caller's own name for a request: unique within `scope`; `fingerprint` tells one payload from another."""

    scope: str
    key: str
    fingerprint: bytes
    seconds: float = 86_400.0


class Draft(msgspec.Struct, frozen=True):
    """A mail to be saved: its record, its content, and the key under which it may be saved only once.

    A record without `expires_at` lives `expire` seconds from when it is first due."""

    message: Message
    content: Content
    key: Key | None = None
    expire: float = 86_400.0


class Saved(msgspec.Struct, frozen=True):
    """What `save` did: the record as it stands; whether it is new; whether the key belongs to another payload."""

    message: Message
    created: bool = True
    conflict: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: `page` (from 1) ascending by creation, else newest first before `cursor` (an id).

    The filters go with the cursor form only; `since` and `until` are microseconds of created_at, `until` excluded.
    """

    limit: int = 20
    page: int | None = None
    cursor: str | None = None
    status: Status | None = None
    recipient: str | None = None
    campaign: str | None = None
    tag: str | None = None
    since: int | None = None
    until: int | None = None

    @property
    def filtered(self) -> bool:
        """Whether anything but the place in the list is asked for."""
        filters = (self.status, self.recipient, self.campaign, self.tag, self.since, self.until)
        return any(value is not None for value in filters)


class Listed(msgspec.Struct, frozen=True):
    """A record with as much of its content as a list shows: headers and at most BODY_SHOWN characters of body."""

    message: Message
    content: Content | None
    truncated: bool = False


class Page(msgspec.Struct, frozen=True):
    """A page of records. `next_cursor` is set where more follow; `total` counts all records, without filters."""

    items: list[Listed]
    next_cursor: str | None = None
    total: int | None = None


class Totals(msgspec.Struct, frozen=True):
    """How many messages were created, first became SENT and first became FAILED within a span of time."""

    created: int = 0
    sent: int = 0
    failed: int = 0


class Overview(msgspec.Struct, frozen=True):
    """How many messages are in each state, and since when (microseconds) the oldest due one has been due."""

    states: dict[State, int]
    oldest_due_at: int | None = None


class UnknownCursor(Exception):
    """The cursor names no record of this store."""


BODY_SHOWN = 10_000
"""Characters of a body that a list shows."""


class Store(Protocol):
    """See the module's rules. `identity` names this store for ever (a random word made with it)."""

    identity: str

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
        ids: Sequence[str] | None = None,
        overdue: float = 0.0,
        alone: bool = False,
    ) -> list[Message]:
        """Leases up to `limit` messages that are due and not leased, oldest first, for `lease` seconds.

        `ids` asks for these only; `overdue` for what has been due for so many seconds. `alone` asks for one message
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

    async def contents(self, ids: Sequence[str]) -> dict[str, Content]:
        """The content of these messages; an id without content (retention) is left out."""
        ...

    async def get(self, id: str) -> tuple[Message, Content | None] | None:
        """One record with its content, or None."""
        ...

    async def retry(self, id: str, expire: float) -> Message | None:
        """Makes the failed and unknown recipients due again, each with a fresh budget, the mail living `expire`
        seconds more; None when there is no such message, and the record unchanged when nothing was to retry."""
        ...

    async def page(self, query: Query) -> Page:
        """Records for a list; raises UnknownCursor."""
        ...

    async def totals(self, since: int, until: int) -> Totals:
        """Counts within [since, until), microseconds; exact for spans that start and end on quarter hours."""
        ...

    async def overview(self) -> Overview:
        """The counts by state and the age of what waits."""
        ...

    async def sweep(self) -> None:
        """Forgets what is past its time and owed to nobody (keys), a slice a call."""
        ...

    async def next_due(self, lane: Lane | None = None) -> float | None:
        """Seconds until the next message that `claim` would give (of a lane) is due, 0 when one is; None without."""
        ...


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret: `digest` is the SHA-256 of the whole key. Times in microseconds."""

    id: str
    name: str
    digest: bytes
    scopes: tuple[str, ...]
    created_at: int = 0
    expires_at: int | None = None
    revoked_at: int | None = None


class Catalog(Protocol):
    """What is not mail: API keys (and, later, templates, contacts, campaigns, suppressions). SQL stores only."""

    async def add_api_key(self, key: ApiKey, seconds: float | None = None) -> ApiKey:
        """Keeps a key, valid for `seconds` or for ever."""
        ...

    async def api_keys(self) -> list[ApiKey]:
        """All keys, revoked and expired ones too, oldest first."""
        ...

    async def revoke_api_key(self, id_or_name: str) -> int:
        """Revokes the keys of that id or name; answers how many were live until now."""
        ...

    async def api_key_version(self) -> int:
        """A number that grows with every change of the keys: asked once a second, so a revoke holds everywhere."""
        ...
