"""Every change of a message, as pure functions that stores apply to a freshly read record.

A store reads the record, calls one of these with its own clock, and writes the record back by compare-and-set on
`version`. So a miss is simply read and decided again. Each function changes the message it is given.
The keeping of times is here too: sent_at and failed_at are set once; due_at is None exactly when nothing is open.
"""

import msgspec

from posthouse.mail.lifecycle import OPEN, Event, advance, allows
from posthouse.mail.message import HistoryEntry, Message, Recipient
from posthouse.mail.outcome import refused
from posthouse.mail.retry import Decision, until

LONELY = 2
"""Losses after which a message is claimed alone."""
POISON = 5
"""Losses after which a message that was claimed alone is given up (DESIGN §3.7: at two alone, three more failed)."""
HISTORY = 500
"""Entries a record keeps at most: the oldest stay, so what a mail was is never forgotten."""
_GIVEN_BACK: tuple[Event, ...] = ("return", "wait")
_SAID: dict[Event, str] = {"accept": "sent", "defer": "deferred", "fail": "failed", "park": "unknown"}


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has to say of one message it held under `fence`: a decision for each address it tried.

    `lost` is true when it is said on behalf of a worker that died holding the message: that counts as a loss,
    whereas a settled attempt of a living worker clears the losses.
    """

    id: str
    fence: int
    transport: str | None = None
    decisions: dict[str, Decision]
    lost: bool = False


def accept(message: Message, now: int, expire: float, *, after: int = 0) -> None:
    """A new record enters the store: its clock starts now, or at its scheduled time, and runs `expire` seconds.

    `after` is the created_at of the record before it: that only grows, even where the clock was set back. It may be called again on the same draft, when the batch that it came in has to be split."""
    message.created_at = max(now, after + 1)
    message.due_at = max(message.scheduled_at or now, now)
    message.expires_at = message.expires_at or until(message.due_at, expire)
    message.version = 1
    message.history = [HistoryEntry(at=now, event="accepted")]


def claim(message: Message, owner: str, lease_until: int) -> None:
    """A worker leases it: fresh, or to settle for a worker whose lease lapsed, and then only what that one held."""
    for recipient in message.open:
        if message.owner is None or recipient.state == "sending":
            recipient.state = advance(recipient.state, "claim")
    message.owner = owner
    message.fence += 1
    message.due_at = lease_until
    message.version += 1


def renew(message: Message, lease_until: int) -> None:
    """Its holder needs more time."""
    message.due_at = lease_until
    message.version += 1


def settle(message: Message, settlement: Settlement, now: int) -> None:
    """Writes what an attempt gave. Recipients that nothing was said of go back as they were, nothing spent."""
    waits: list[float] = []
    tried = False
    for recipient in message.recipients:
        decision = settlement.decisions.get(recipient.email)
        if decision is None or decision.event in _GIVEN_BACK:
            if recipient.state == "sending":
                give_back(recipient)
            waits.append(0.0 if decision is None else decision.wait)
            continue
        decision = _within_its_time(message, decision, now)
        tried = tried or decision.tried
        _apply(message, recipient, decision, settlement.transport, now)
        waits.append(decision.wait)
    _note_loss(message, settlement, tried, now)
    message.owner = None
    close(message, now, until(now, max(waits, default=0.0)))


def release(message: Message, wait: float, now: int) -> None:
    """Hands a leased message back: due after `wait` seconds, nothing spent."""
    for recipient in message.recipients:
        if recipient.state == "sending":
            give_back(recipient)
    message.owner = None
    close(message, now, until(now, wait))


def retry(message: Message, now: int, expire_seconds: float) -> list[Recipient]:
    """A person wants the failed and the unknown sent again; gives those, each with a fresh budget."""
    again = [recipient for recipient in message.recipients if allows(recipient.state, "retry")]
    for recipient in again:
        recipient.state = advance(recipient.state, "retry")
        recipient.spent = recipient.waits = 0
        _remember(message, HistoryEntry(at=now, event="retry", recipient=recipient.email))
    if again:
        message.losses = 0
        message.expires_at = max(message.expires_at, until(now, expire_seconds))
        close(message, now, message.due_at if message.owner else now)
    return again


def give_back(recipient: Recipient) -> None:
    """A claim that came to nothing: the recipient is again what it was."""
    recipient.state = advance(recipient.state, "wait" if recipient.attempts else "return")


def close(message: Message, now: int, due_at: int | None) -> None:
    """Ends a change: the clock runs on only while a recipient is open; first times are kept for ever."""
    message.due_at = due_at if any(r.state in OPEN for r in message.recipients) else None
    message.version += 1
    status = message.status
    if status == "SENT" and message.sent_at is None:
        message.sent_at = now
    if status == "FAILED" and message.failed_at is None:
        message.failed_at = now


def _within_its_time(message: Message, decision: Decision, now: int) -> Decision:
    if decision.event != "defer" or until(now, decision.wait) < message.expires_at:
        return decision
    final = "park" if decision.outcome.result == "unknown" else "fail"
    return Decision(event=final, outcome=decision.outcome)


def _apply(
    message: Message, recipient: Recipient, decision: Decision, transport: str | None, now: int
) -> None:
    outcome = decision.outcome
    recipient.state = advance(recipient.state, decision.event)
    if decision.tried:
        recipient.attempts += 1
        recipient.spent += decision.spent
        recipient.waits += outcome.spends == "time"
        recipient.uncertain += outcome.result == "unknown"
    recipient.code = outcome.code
    recipient.enhanced_code = outcome.enhanced_code
    recipient.error = None if outcome.result == "accepted" else outcome.text
    recipient.at = now
    _remember(
        message,
        HistoryEntry(
            at=now,
            event="unknown" if outcome.result == "unknown" else _SAID[decision.event],
            recipient=recipient.email,
            attempt=recipient.attempts if decision.tried else None,
            transport=transport,
            code=outcome.code,
            text=outcome.text or None,
        ),
    )


def _note_loss(message: Message, settlement: Settlement, tried: bool, now: int) -> None:
    """Counts the worker that died over this message, and gives the message up when it has cost too many."""
    if not settlement.lost:
        message.losses = 0 if tried else message.losses
        return
    message.losses += 1
    if message.losses < POISON:
        return
    text = f"poison: {message.losses} workers died while they held it"
    poison = Decision(event="fail", outcome=refused(text, "other"), tried=False)
    for recipient in message.open:
        _apply(message, recipient, poison, settlement.transport, now)


def _remember(message: Message, entry: HistoryEntry) -> None:
    if len(message.history) < HISTORY:
        message.history.append(entry)
