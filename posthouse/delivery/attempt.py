"""One attempt to hand a message on: what a transport sees of it, and what is made of its answer.

An Attempt is an Envelope (transport.base). Its steps, in order: the worker builds it from a claimed message and its
content; the transport calls `begin` right before the end of data, where lease and journal are seen to, and `done` with
the outcomes, from which the retry policy makes a decision for each recipient.
"""

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence

import structlog

from posthouse.delivery.breaker import Breaker
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.journal import Journal
from posthouse.mail.advance import Settlement
from posthouse.mail.message import SECOND, Content, Lane, Message, Recipient, Took
from posthouse.mail.outcome import Outcome
from posthouse.mail.retry import Decision, Policy, decide, held_back

HANDED_BACK = 1.0
"""Seconds that what a transport did not begin is held back."""


class Attempt:
    """`leased` is when its lease of `lease` seconds began, on elapsed_clock, as are `started` and `handed`: when it was here
    and when it was given to a transport. `begun`: it is in the air, or was. `content` is there until it is written, if it came
    with the claim; `loaded` is what of the memory for contents it takes, in bytes. `finished` gets the attempt and its
    settlement, once."""

    def __init__(
        self,
        message: Message,
        leased: float,
        lease: float,
        *,
        journal: Journal,
        policy: Policy,
        finished: "Callable[[Attempt, Settlement], None]",
        content: Content | None = None,
    ) -> None:
        self.message = message
        self.content = content
        self.id = message.id
        self.lane: Lane = message.lane
        self.recipients: Sequence[str] = [r.email for r in message.recipients if r.state == "sending"]
        self.lease_until = leased + lease
        self.started = elapsed_clock()
        self.handed: float | None = None
        self.sender = ""
        self.data = b""
        self.loaded = 0
        self.breaker: Breaker | None = None
        self._queued = max((message.due_at or 0) - message.created_at - round(lease * SECOND), 0)
        self.begun = False
        self._suppressed: dict[str, Decision] = {}
        self._journal = journal
        self._policy = policy
        self._finished = finished

    def begin(self, replies: Sequence[Outcome | None]) -> bool:
        """The last moment before the end of data: False when the lease is over or the
        journal cannot be written, else the journal has it."""
        if elapsed_clock() >= self.lease_until or self.breaker is None:
            return False
        by_address = dict(zip(self.recipients, replies, strict=True))
        try:
            self._journal.begin(self.id, self.message.fence, self.breaker.transport.name, by_address)
        except OSError as error:
            structlog.get_logger("delivery").error("journal not written", id=self.id, why=str(error))
            return False
        self.begun = True
        return True

    def suppress(self, why: Mapping[str, str]) -> None:
        """These of its recipients are not to be mailed, and why; once none is left it is settled."""
        self._suppressed |= {email: held_back(text) for email, text in why.items()}
        self.recipients = [email for email in self.recipients if email not in why]
        if not self.recipients:
            self.settle([])

    def done(self, outcomes: Sequence[Outcome]) -> None:
        """The transport's last word."""
        if self.breaker is not None:
            self.breaker.note(outcomes[0])
        if self.begun:
            by_address = dict(zip(self.recipients, outcomes, strict=True))
            with contextlib.suppress(OSError):  # it is settled all the same, unless we die before
                self._journal.reply(self.id, self.message.fence, by_address)
        self.data = b""
        self.settle(outcomes, wait=HANDED_BACK)

    def settle(self, outcomes: Sequence[Outcome], *, wait: float = 0.0) -> None:
        """Decides for each recipient. `wait` holds back what was not begun, in seconds."""
        away = 0.0 if self.breaker is None else self.breaker.away
        decisions = self._suppressed | {
            recipient.email: decide(
                recipient, self.lane, outcome, self._policy, away=away, wait=wait, chance=random.random()
            )
            for recipient, outcome in zip(self._tried(), outcomes, strict=True)
        }
        transport = None if self.breaker is None else self.breaker.transport.name
        self._finished(
            self,
            Settlement(
                id=self.id,
                fence=self.message.fence,
                transport=transport,
                decisions=decisions,
                took=self._took(),
            ),
        )

    def _took(self) -> Took:
        """Its lease began on the store's clock, by which the mail was created; the rest is ours."""
        ended = elapsed_clock()
        handed = self.handed or ended
        return Took(
            self._queued * 1000 // SECOND, _milliseconds(handed - self.started), _milliseconds(ended - handed)
        )

    def _tried(self) -> list[Recipient]:
        return [
            recipient
            for recipient in self.message.recipients
            if recipient.state == "sending" and recipient.email not in self._suppressed
        ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
