"""From what an attempt gave to the event that tells of it, and back: what a record makes of an event.

Our own events bring everything that the record of the attempt needs, so that it is the same whether the worker writes
it or its event does. Times travel as moments and are used as durations: only a store makes times.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from posthouse.mail import advance
from posthouse.mail.advance import Settlement
from posthouse.mail.events import EmailStatusEvent, StatusMetrics, StatusRecipient, Word
from posthouse.mail.lifecycle import STATUS, Event, State
from posthouse.mail.message import SECOND, Message, Recipient, Took
from posthouse.mail.outcome import Category, Outcome, classify, refused, unknown
from posthouse.mail.retry import Decision

_EVENTS: dict[State, Event] = {"deferred": "defer", "failed": "fail", "unknown": "park"}
_STATES: dict[Word, State] = {"SENT": "sent", "FAILED": "failed", "PENDING": "deferred", "UNKNOWN": "unknown"}


def after(message: Message, settlement: Settlement, now: int) -> Message:
    """The record as this settlement will make it; `message` stays as it is."""
    recipients = [msgspec.structs.replace(recipient) for recipient in message.recipients]
    settled = msgspec.structs.replace(message, recipients=recipients, history=[])
    advance.settle(settled, settlement, now)
    return settled


def status_event(message: Message, settlement: Settlement, now: int) -> EmailStatusEvent:
    """Tells of an attempt. `message` is the record `after` it; `now` is in microseconds."""
    tried = [each for each in message.recipients if each.email in settlement.decisions]
    return EmailStatusEvent(
        event_id=message.event_id or message.id,
        status="UNKNOWN" if message.state == "unknown" else STATUS[message.state],
        attempt=max(message.attempts, 1),
        attempts=message.attempts,
        fence=settlement.fence,
        error=message.error,
        next_attempt_at=None if message.due_at is None else _moment(message.due_at),
        provider=settlement.transport,
        provider_message_id=message.provider_message_id,
        occurred_at=_moment(now),
        metrics=None if settlement.took is None else _metrics(settlement.took),
        recipients=[_said_of(recipient, settlement) for recipient in tried],
    )


def is_of_an_attempt(settlement: Settlement) -> bool:
    """Whether there is something to tell: not of mail that is only given back."""
    return any(decision.tried for decision in settlement.decisions.values())


def settlement_of(event: EmailStatusEvent, id: str) -> Settlement:
    """What an event has to say to the record with this id."""
    wait = 0.0
    if event.next_attempt_at is not None:
        wait = max((event.next_attempt_at - event.occurred_at).total_seconds(), 0.0)
    return Settlement(
        id=id,
        fence=event.fence,
        transport=event.provider,
        decisions={each.email: _decision(each, event, wait) for each in event.recipients or ()},
        everyone=None if event.recipients else _decision(_of_all(event), event, wait),
        attempt=event.attempt,
        took=None if event.metrics is None else _took(event.metrics),
    )


def once_each(settlements: Sequence[Settlement]) -> list[list[int]]:
    """Their places, in rounds in which each record comes once, its settlements in their order."""
    rounds: list[list[int]] = []
    seen: dict[str, int] = {}
    for place, settlement in enumerate(settlements):
        turn = seen.get(settlement.id, 0)
        seen[settlement.id] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(place)
    return rounds


def _said_of(recipient: Recipient, settlement: Settlement) -> StatusRecipient:
    outcome = settlement.decisions[recipient.email].outcome
    accepted = outcome.result == "accepted"
    return StatusRecipient(
        email=recipient.email,
        state=recipient.state,
        code=outcome.code,
        enhanced_code=outcome.enhanced_code,
        error=None if accepted else outcome.text,
        category=None if accepted or outcome.category == _read(outcome) else outcome.category,
        uncertain=outcome.result == "unknown",
    )


def _read(outcome: Outcome) -> Category | None:
    """What the reply alone says."""
    if outcome.code is None:
        return None
    return classify(outcome.code, outcome.enhanced_code, outcome.text).category


def _metrics(took: Took) -> StatusMetrics:
    return StatusMetrics(
        queued_ms=took.queued, render_ms=took.render, delivery_ms=took.delivery, total_ms=took.total
    )


def _took(metrics: StatusMetrics) -> Took:
    return Took(metrics.queued_ms, metrics.render_ms, metrics.delivery_ms)


def _of_all(event: EmailStatusEvent) -> StatusRecipient:
    return StatusRecipient(email="", state=_STATES[event.status], error=event.error)


def _decision(said: StatusRecipient, event: EmailStatusEvent, wait: float) -> Decision:
    kind: Event = _EVENTS.get(said.state) or ("accept" if STATUS[said.state] == "SENT" else "return")
    if STATUS[said.state] == "FAILED":
        kind = "suppress" if said.state == "suppressed" else "fail"
    return Decision(
        event=kind,
        outcome=_outcome(said, event),
        wait=wait if kind == "defer" else 0.0,
        tried=kind not in ("return", "suppress"),
    )


def _outcome(said: StatusRecipient, event: EmailStatusEvent) -> Outcome:
    text = said.error or ""
    if said.uncertain or said.state == "unknown":
        return unknown(text)
    if STATUS[said.state] == "SENT":
        return Outcome(
            result="accepted",
            code=said.code,
            enhanced_code=said.enhanced_code,
            category="ok",
            provider_message_id=event.provider_message_id,
        )
    if said.code is not None and said.code >= 400:
        read = classify(said.code, said.enhanced_code, text)
        return msgspec.structs.replace(read, category=said.category or read.category)
    if STATUS[said.state] == "FAILED":
        return refused(text, said.category or "other", said.code, said.enhanced_code)
    return Outcome(
        result="deferred",
        code=said.code,
        enhanced_code=said.enhanced_code,
        text=text,
        category=said.category or "other",
    )


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / SECOND, UTC)
