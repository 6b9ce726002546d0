"""A campaign: one bulk send, a template version to a frozen audience. What it is, its phases, and its outer words.

Rules: each recipient is a message of its own (`Message.campaign`), with the state that the lifecycle gives it; a campaign
holds none of that, only what is to happen with new mail. Its counts are the messages' states, and always add up.
"""

from typing import Any, Literal

import msgspec

from posthouse.mail.lifecycle import OPEN, State
from posthouse.mail.message import Mailbox

Phase = Literal["waiting", "running", "paused", "canceled"]
"""waiting: not begun (its time has not come); running: its audience is frozen and its mail is claimed; paused: neither;
canceled: what was open is closed, and nothing of it is claimed any more."""
Act = Literal["start", "pause", "resume", "cancel", "retry"]
CampaignStatus = Literal["QUEUED", "PROCESSING", "PAUSED", "COMPLETED", "FAILED", "CANCELED"]

PHASES: dict[Act, dict[Phase, Phase]] = {
    "start": {"waiting": "running", "running": "running"},
    "pause": {"waiting": "paused", "running": "paused", "paused": "paused"},
    "resume": {"paused": "running", "waiting": "waiting", "running": "running"},
    "cancel": {"waiting": "canceled", "running": "canceled", "paused": "canceled", "canceled": "canceled"},
    "retry": {"running": "running", "paused": "paused"},
}
"""What an act makes of a phase; a missing pair is impossible (409)."""


class Campaign(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One bulk send. `template` and `version` name what is sent; `subject`, itself a template, replaces the template's.
    `roles` chooses the audience ("*" is everybody) unless `recipients` were given with it. `variables` are beneath each
    recipient's own; `rate` (so many in so many seconds) bounds it over all processes; the higher `priority` goes first.
    `fingerprint` tells the request that made it from others, where that had an Idempotency-Key.
    `frozen`: its audience is complete; `ready`: each of them is a message now. Times are microseconds; `completed_at` is
    when nothing was open first, and is cleared by a retry."""

    id: str
    template: str
    version: int
    subject: str | None = None
    roles: tuple[str, ...] = ()
    sender: Mailbox | None = None
    variables: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    priority: int = 0
    rate: tuple[int, int] | None = None
    phase: Phase = "waiting"
    frozen: bool = False
    ready: bool = False
    queue_job_id: str | None = None
    fingerprint: str = ""
    created_by: str = ""
    created_at: int = 0
    scheduled_at: int | None = None
    expires_at: int | None = None
    started_at: int | None = None
    completed_at: int | None = None


def forbids(campaign: Campaign, over: bool, act: Act) -> str | None:
    """Why an act is impossible, in words that go on after "the campaign"; `over` says that nothing of it is open."""
    if campaign.phase not in PHASES[act]:
        return f"is {campaign.phase}"
    if over and act != "retry" and campaign.phase != "canceled":
        return "is completed"
    return None


def acted(campaign: Campaign, act: Act, now: int) -> Campaign:
    """What an act that is possible makes of it. One that was paused before it began waits for its time again."""
    phase = PHASES[act][campaign.phase]
    if act == "resume" and campaign.started_at is None:
        phase = "waiting"
    started_at = campaign.started_at
    if phase == "running" and started_at is None:
        started_at = now
    return msgspec.structs.replace(campaign, phase=phase, started_at=started_at)


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of an audience: a normalised address, a name, and what a template may know of them beside it."""

    email: str
    name: str = ""
    roles: tuple[str, ...] = ()
    variables: dict[str, Any] = {}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a campaign's recipients are in each state."""

    states: dict[State, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.states.values())

    @property
    def open(self) -> int:
        """Those that are still owed work."""
        return self.of(*OPEN)

    @property
    def sent(self) -> int:
        """Sent, whatever a provider told later, but for what came back."""
        return self.of("sent", "delivered", "complained")

    @property
    def failed(self) -> int:
        """Refused, given up, or come back."""
        return self.of("failed", "bounced")

    @property
    def progress(self) -> int:
        """Percent that need no more work; 100 only when none does."""
        return 100 if self.open == 0 else 100 * (self.total - self.open) // self.total

    def of(self, *states: State) -> int:
        """Those in any of these states."""
        return sum(self.states.get(state, 0) for state in states)


def is_over(campaign: Campaign, counts: Counts) -> bool:
    """Whether nothing of it is open, nor will be by itself."""
    return campaign.ready and counts.open == 0


def status(campaign: Campaign, counts: Counts) -> CampaignStatus:
    """The outer word (DESIGN §6): COMPLETED when nothing is open and something was sent, FAILED when nothing was."""
    if campaign.phase == "canceled":
        return "CANCELED"
    if is_over(campaign, counts):
        return "COMPLETED" if counts.sent else "FAILED"
    if campaign.phase == "paused":
        return "PAUSED"
    return "QUEUED" if campaign.phase == "waiting" else "PROCESSING"
