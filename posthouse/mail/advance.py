"""Every change of a message, as pure functions that stores apply to a freshly read record.

A store reads the record, calls one of these with its own clock, and writes the record back by compare-and-set on
`version`. So a miss is simply read and decided again. Each function changes the message it is given.
The keeping of times is here too: sent_at and failed_at are set once; due_at is None exactly when nothing is open.
"""

from collections.abc import Mapping, Sequence

import msgspec

from posthouse.mail.lifecycle import OPEN, Event, advance, allows
from posthouse.mail.message import HistoryEntry, Message, Recipient, Took
from posthouse.mail.notice import MOVES, Notice
from posthouse.mail.outcome import classify, refused
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
    whereas a settled attempt of a living worker clears the losses. Without a `fence` it is the word of a foreign
    worker, who never claimed, on its attempt number `attempt`. `everyone` is for those that `decisions` do not name.
    """

    id: str
    fence: int | None
    transport: str | None = None
    decisions: dict[str, Decision]
    lost: bool = False
    everyone: Decision | None = None
    attempt: int | None = None
    took: Took | None = None


def accept(
    message: Message, now: int, expire: float, *, after: int = 0, suppressed: Mapping[str, str] | None = None
) -> None:
    """A new record enters the store: its clock starts now, or at its scheduled time, and runs `expire` seconds.

    `after` is the created_at of the record before it: that only grows, even where the clock was set back. `suppressed`
    are addresses that are not to be mailed, and why. It may be called again on the same draft, when the batch that it
    came in has to be split."""
    message.created_at = max(now, after + 1)
    message.due_at = max(message.scheduled_at or now, now)
    message.expires_at = message.expires_at or until(message.due_at, expire)
    message.version = 1
    message.history = [HistoryEntry(at=now, event="accepted")]
    if suppressed:
        _suppress(message, suppressed, now)


def _suppress(message: Message, suppressed: Mapping[str, str], now: int) -> None:
    message.version, message.failed_at = 0, None
    for recipient in message.recipients:
        if recipient.email in suppressed:
            recipient.state = "pending"
            _hold_back(message, recipient, suppressed[recipient.email], now)
    close(message, now, message.due_at)


def _hold_back(message: Message, recipient: Recipient, why: str, now: int) -> None:
    recipient.state = advance(recipient.state, "suppress")
    _say(message, recipient, "suppressed", now, why)


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


def fits(message: Message, settlement: Settlement) -> bool:
    """Whether a settlement is good: its fence still stands, or lifecycle alone decides."""
    return settlement.fence is None or (message.owner is not None and message.fence == settlement.fence)


def settle(message: Message, settlement: Settlement, now: int) -> None:
    """Writes what an attempt gave. Recipients that nothing was said of go back as they were, nothing spent."""
    if settlement.fence is None:
        _report(message, settlement, now)
        return
    waits: list[float] = []
    tried = False
    for recipient in message.recipients:
        everyone = settlement.everyone if recipient.state == "sending" else None
        decision = settlement.decisions.get(recipient.email, everyone)
        if decision is None or decision.event in _GIVEN_BACK:
            if recipient.state == "sending":
                give_back(recipient)
            waits.append(0.0 if decision is None else decision.wait)
            continue
        if decision.event == "suppress":
            _hold_back(message, recipient, decision.outcome.text, now)
            continue
        decision = _within_its_time(message, decision, now)
        tried = tried or decision.tried
        _apply(message, recipient, decision, settlement.transport, now)
        waits.append(decision.wait)
        message.provider_message_id = decision.outcome.provider_message_id or message.provider_message_id
    message.took = settlement.took if tried else message.took
    _note_loss(message, settlement, tried, now)
    message.owner = None
    close(message, now, until(now, max(waits, default=0.0)))


def _report(message: Message, settlement: Settlement, now: int) -> None:
    """Writes what a foreign worker told, as far as it is news. A lease of ours goes on."""
    waits: list[float] = []
    for recipient in message.recipients:
        decision = settlement.decisions.get(recipient.email, settlement.everyone)
        number = settlement.attempt or recipient.attempts + 1
        if decision is None or not _is_news(recipient, decision.event, number):
            continue
        if decision.event == "suppress":
            _hold_back(message, recipient, decision.outcome.text, now)
            waits.append(0.0)
            continue
        decision = msgspec.structs.replace(decision, tried=number > recipient.attempts)
        recipient.attempts = max(recipient.attempts, number - 1)
        _apply(message, recipient, decision, settlement.transport, now)
        waits.append(decision.wait)
        message.provider_message_id = decision.outcome.provider_message_id or message.provider_message_id
    if waits:
        message.took = settlement.took
        close(message, now, message.due_at if message.owner else until(now, max(waits)))


def _is_news(recipient: Recipient, event: Event, attempt: int) -> bool:
    """Events come doubled, late and out of order: of an attempt that is known only its end is news, and of older ones
    only that the mail went out."""
    if event in _GIVEN_BACK or not allows(recipient.state, event):
        return False
    if attempt > recipient.attempts:
        return True
    if advance(recipient.state, event) == recipient.state:
        return False
    ended = event in ("fail", "park") and recipient.state != "sending"
    return event == "accept" or (attempt == recipient.attempts and ended)


def release(message: Message, wait: float, now: int) -> None:
    """Hands a leased message back: due after `wait` seconds, nothing spent."""
    for recipient in message.recipients:
        if recipient.state == "sending":
            give_back(recipient)
    message.owner = None
    close(message, now, until(now, wait))


def hasten(message: Message, now: int) -> None:
    """It was due when it was accepted, nobody has had it yet, and the clock was set back: due by the new time, too."""
    close(message, now, now)


def retry(
    message: Message,
    now: int,
    expire_seconds: float,
    recipients: Sequence[Recipient] | None = None,
    by: str = "",
) -> Sequence[Recipient]:
    """A person wants the failed and the unknown sent again, or some of them; gives those, each with a fresh budget."""
    again = recipients
    if again is None:
        again = [recipient for recipient in message.recipients if allows(recipient.state, "retry")]
    message.cancel_asked = message.cancel_asked and not again
    for recipient in again:
        recipient.state = advance(recipient.state, "retry")
        recipient.spent = recipient.waits = 0
        _remember(message, _by_hand("retry", recipient, now, by))
    if again:
        if message.due_at is None:  # whoever held it will find that it was closed meanwhile
            message.owner = None
        message.losses = 0
        message.expires_at = max(message.expires_at, until(now, expire_seconds))
        close(message, now, message.due_at if message.owner else now)
    return again


def mark_sent(message: Message, now: int, recipients: Sequence[Recipient], by: str) -> None:
    """A person knows that these, whose outcome was unknown, have arrived."""
    for recipient in recipients:
        recipient.state = advance(recipient.state, "mark_sent")
        recipient.error, recipient.category, recipient.at = None, None, now
        _remember(message, _by_hand("mark_sent", recipient, now, by))
    close(message, now, message.due_at)


def _by_hand(event: str, recipient: Recipient, now: int, by: str) -> HistoryEntry:
    return HistoryEntry(at=now, event=event, recipient=recipient.email, text=f"by {by}" if by else None)


def cancel(message: Message, now: int) -> None:
    """A person no longer wants it sent: what is open ends now, or else when what is in the air has ended."""
    message.cancel_asked = True
    close(message, now, message.due_at)


def hear(message: Message, notice: Notice, now: int) -> bool:
    """A provider tells what became of a recipient; whether that one is of this mail.

    It may come before the worker's own word: a lease goes on, and its settlement finds the recipient moved."""
    recipient = _named(message, notice.recipient)
    if recipient is None:
        return False
    event = MOVES.get(notice.kind)
    if event is not None and allows(recipient.state, event):
        recipient.state = advance(recipient.state, event)
        recipient.at = now
        if recipient.state == "bounced":
            recipient.code, recipient.error = notice.code, notice.text or "it came back"
            recipient.category = classify(notice.code or 550, None, notice.text).category
        if recipient.state == "delivered" and message.delivered_at is None:
            message.delivered_at = min(max(notice.at, message.created_at), now)
    _remember(
        message,
        HistoryEntry(
            at=now, event=notice.kind, recipient=recipient.email, code=notice.code, text=notice.text or None
        ),
    )
    close(message, now, message.due_at)
    return True


def _named(message: Message, email: str) -> Recipient | None:
    """The recipient of this address: as it is written or, as providers change the case, nearly so."""
    exact = [recipient for recipient in message.recipients if recipient.email == email]
    folded = [recipient for recipient in message.recipients if recipient.email.lower() == email.lower()]
    return next(iter(exact or folded), None)


def give_back(recipient: Recipient) -> None:
    """A claim that came to nothing: the recipient is again what it was."""
    recipient.state = advance(recipient.state, "wait" if recipient.attempts else "return")


def close(message: Message, now: int, due_at: int | None) -> None:
    """Ends a change: the clock runs on only while a recipient is open; first times are kept for ever."""
    if message.cancel_asked and message.owner is None:
        _cancel_the_rest(message, now)
    message.due_at = due_at if any(r.state in OPEN for r in message.recipients) else None
    message.version += 1
    status = message.status
    if status == "SENT" and message.sent_at is None:
        message.sent_at = now
    if status == "FAILED" and message.failed_at is None:
        message.failed_at = now


def _cancel_the_rest(message: Message, now: int) -> None:
    """Nothing of it is in the air any more."""
    message.cancel_asked = False
    for recipient in message.open:
        recipient.state = advance(recipient.state, "cancel")
        _say(message, recipient, "canceled", now, "canceled")


def _say(message: Message, recipient: Recipient, event: str, now: int, why: str) -> None:
    """Notes an end that no attempt brought."""
    recipient.code = recipient.enhanced_code = recipient.category = None
    recipient.error, recipient.at = why, now
    _remember(message, HistoryEntry(at=now, event=event, recipient=recipient.email, text=why))


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
    accepted = outcome.result == "accepted"
    recipient.error = None if accepted else outcome.text
    recipient.category = None if accepted else outcome.category
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
