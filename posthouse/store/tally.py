"""What a batch of writes adds to the counters, so that no request ever counts a table.

Counters: `created`, `sent` and `failed` by quarter of an hour (when a status was first reached), and `state:<state>`
with bucket 0, how many messages are in that state now. A store adds the tally in the transaction of the writes. What
records that are kept no longer once added to the first three stays in them, and is counted as `gone:…` beside them.

Of a campaign's messages `campaign:<id>:<state>` with bucket 0 counts the same, and stays when records go. Its breakdown
counts them by `Spot`, in rows of their own.
"""

from collections.abc import Mapping
from typing import NamedTuple

from posthouse.mail.campaign import Counts
from posthouse.mail.lifecycle import STATES, State
from posthouse.mail.message import SECOND, Message

QUARTER = 900 * SECOND
"""The width of a bucket, in microseconds."""
CREATED = "created"
GONE = "gone:"
"""Before the name of a counter: how much of it comes from records that are kept no longer."""
CAMPAIGN = "campaign:"
"""Before the name of a campaign's counter."""
AUDIENCE = "audience"
"""In the place of a state: how many people are frozen that have no message yet."""


def state_counter(state: State) -> str:
    """The name of the counter (bucket 0) of the messages that are in a state now."""
    return f"state:{state}"


def campaign_counter(campaign: str, state: str) -> str:
    """The name of the counter (bucket 0) of a campaign's messages that are in a state now."""
    return f"{CAMPAIGN}{campaign}:{state}"


def campaign_counts(sums: Mapping[str, int]) -> Counts:
    """The counts of a campaign, of its counters by their last word."""
    states: dict[State, int] = {state: sums.get(state, 0) for state in STATES}
    states["pending"] += sums.get(AUDIENCE, 0)
    return Counts(states=states)


class Spot(NamedTuple):
    """Where a message stands in the breakdown of its campaign: by the domain of its recipient, its state, and the
    category of its last outcome ("" without one). What is being sent stands where it stood before, so that a claim
    changes nothing here."""

    campaign: str
    domain: str
    state: State
    category: str


def spot(message: Message) -> Spot | None:
    """Where a message stands; None where it is of no campaign."""
    if message.campaign is None:
        return None
    first, state = message.recipients[0], message.state
    if state == "sending":
        state = "deferred" if first.attempts else "pending"
    return Spot(message.campaign, domain_of(first.email), state, first.category or "")


def domain_of(email: str) -> str:
    """What a breakdown names an address by."""
    return email.rpartition("@")[2]


class Before(NamedTuple):
    """What the counters knew of a message before a change."""

    state: State
    sent_at: int | None
    failed_at: int | None
    spot: Spot | None


def before(message: Message) -> Before:
    """Notes what a change may alter."""
    return Before(message.state, message.sent_at, message.failed_at, spot(message))


class Tally:
    """Sums of changes: (counter name, bucket) → how much to add; and how much to add to spots, and to what of them is
    gone."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int], int] = {}
        self.spots: dict[Spot, int] = {}
        self.gone: dict[Spot, int] = {}

    def created(self, message: Message) -> None:
        """A new record."""
        self._add(CREATED, _bucket(message.created_at), 1)
        self.entered(message)

    def entered(self, message: Message) -> None:
        """The same, but for when it was created: where only the database knows that."""
        self._add(state_counter(message.state), 0, 1)
        self._firsts(None, None, message)
        if (now := spot(message)) is not None:
            self._add(campaign_counter(now.campaign, message.state), 0, 1)
            _count(self.spots, now, 1)

    def frozen(self, campaign: str, n: int) -> None:
        """So many people more, or less, have no message yet."""
        self._add(campaign_counter(campaign, AUDIENCE), 0, n)

    def changed(self, was: Before, message: Message) -> None:
        """A record after a change."""
        if was.state != message.state:
            self._add(state_counter(was.state), 0, -1)
            self._add(state_counter(message.state), 0, 1)
        self._firsts(was.sent_at, was.failed_at, message)
        if was.spot is not None:
            self._moved(was.spot, was.state, message)

    def removed(self, message: Message) -> None:
        """A record that is kept no longer."""
        self._add(state_counter(message.state), 0, -1)
        times = {CREATED: message.created_at, "sent": message.sent_at, "failed": message.failed_at}
        for name, at in times.items():
            if at is not None:
                self._add(GONE + name, _bucket(at), 1)
        if (last := spot(message)) is not None:
            self._add(GONE + campaign_counter(last.campaign, message.state), 0, 1)
            _count(self.gone, last, 1)

    def _moved(self, old: Spot, state: State, message: Message) -> None:
        if state != message.state:
            self._add(campaign_counter(old.campaign, state), 0, -1)
            self._add(campaign_counter(old.campaign, message.state), 0, 1)
        if (new := spot(message)) is not None and new != old:
            _count(self.spots, old, -1)
            _count(self.spots, new, 1)

    def _firsts(self, sent_at: int | None, failed_at: int | None, message: Message) -> None:
        if sent_at is None and message.sent_at is not None:
            self._add("sent", _bucket(message.sent_at), 1)
        if failed_at is None and message.failed_at is not None:
            self._add("failed", _bucket(message.failed_at), 1)

    def _add(self, name: str, bucket: int, n: int) -> None:
        self.sums[name, bucket] = self.sums.get((name, bucket), 0) + n


def _count(spots: dict[Spot, int], spot: Spot, n: int) -> None:
    spots[spot] = spots.get(spot, 0) + n


def _bucket(at: int) -> int:
    return at - at % QUARTER
