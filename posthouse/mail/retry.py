"""What follows from an outcome: the retry policy as a pure function (DESIGN §3.7, §3.8).

Two budgets: `attempts` for what went wrong with this mail, and the mail's `expires_at` for what only takes time
(greylisting). While the transport itself has been away for less than `outage`, spent attempts alone fail nothing.
An unknown outcome is resent or parked, as the lane says. 5xx is final at once.
"""

from typing import Literal

import msgspec

from posthouse.mail.lifecycle import Event
from posthouse.mail.message import SECOND, Lane, Recipient
from posthouse.mail.outcome import Outcome, refused

OnUnknown = Literal["resend", "hold"]

ON_UNKNOWN: dict[Lane, OnUnknown] = {"transactional": "resend", "bulk": "hold"}
GREYLIST_FIRST = 300.0
"""Seconds before the first try after greylisting."""
LONGEST_WAIT = 3600.0
"""Seconds that no wait between two tries exceeds."""
JITTER = 0.2
"""The share by which a wait is stretched at most."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """`attempts` is the budget; `backoff` and `outage` are seconds; `on_unknown` says what each lane does."""

    attempts: int = 3
    backoff: float = 10.0
    outage: float = 900.0
    on_unknown: dict[Lane, OnUnknown] = msgspec.field(default_factory=lambda: dict(ON_UNKNOWN))


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one recipient: the event for its lifecycle, the wait in seconds, and what it cost."""

    event: Event
    outcome: Outcome
    wait: float = 0.0
    tried: bool = True

    @property
    def spent(self) -> int:
        """1 when it used up an attempt of the budget."""
        return 1 if self.outcome.spends == "attempt" else 0


def decide(
    recipient: Recipient,
    lane: Lane,
    outcome: Outcome,
    policy: Policy,
    *,
    away: float = 0.0,
    wait: float = 0.0,
    chance: float = 0.5,
) -> Decision:
    """The decision for one recipient. `away` is how long its transport has been unusable, in seconds; `wait` how
    long what was not begun is held back; `chance` a random number from 0 to 1 that spreads the waits."""
    if outcome.result == "accepted":
        return Decision(event="accept", outcome=outcome)
    if outcome.result == "refused":
        return Decision(event="fail", outcome=outcome)
    if outcome.spends == "nothing":
        event: Event = "wait" if recipient.attempts else "return"
        return Decision(event=event, outcome=outcome, wait=wait, tried=False)
    if outcome.result == "unknown" and policy.on_unknown[lane] == "hold":
        return Decision(event="park", outcome=outcome)
    if _spent_after(recipient, outcome) >= policy.attempts and not _outage_protects(outcome, policy, away):
        return Decision(event="park" if outcome.result == "unknown" else "fail", outcome=outcome)
    return Decision(event="defer", outcome=outcome, wait=_wait(recipient, outcome, policy, chance))


def held_back(why: str) -> Decision:
    """The decision for one that is not to be mailed: nothing was tried."""
    return Decision(event="suppress", outcome=refused(why, "other"), tried=False)


def _spent_after(recipient: Recipient, outcome: Outcome) -> int:
    """Attempts used once this one counts; greylisting spends time only, so it can never be the last."""
    return recipient.spent + 1 if outcome.spends == "attempt" else 0


def _outage_protects(outcome: Outcome, policy: Policy, away: float) -> bool:
    return outcome.scope == "transport" and away < policy.outage


def _wait(recipient: Recipient, outcome: Outcome, policy: Policy, chance: float) -> float:
    if outcome.spends == "time":
        base = GREYLIST_FIRST * 2 ** min(recipient.waits, 20)
    else:
        base = policy.backoff * 2 ** min(recipient.spent, 20)
    return min(base, LONGEST_WAIT) * (1 + JITTER * chance)


def until(now: int, seconds: float) -> int:
    """The moment `seconds` after `now`, in microseconds."""
    return now + round(seconds * SECOND)
