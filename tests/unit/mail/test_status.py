"""A record is the same whether the worker settles it or its event does; foreign words count by lifecycle alone."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from posthouse.mail import advance
from posthouse.mail.advance import Settlement
from posthouse.mail.events import EmailStatusEvent, StatusRecipient, Word
from posthouse.mail.lifecycle import State
from posthouse.mail.message import SECOND, Message, Recipient, Took
from posthouse.mail.outcome import Outcome, classify, link_lost, not_begun, refused, unknown
from posthouse.mail.retry import Policy, decide, held_back
from posthouse.mail.status import after, is_of_an_attempt, once_each, settlement_of, status_event

NOW = 1_800_000_000 * SECOND
ACCEPTED = Outcome(result="accepted", code=250, text="Ok", category="ok", provider_message_id="p-1")


def told(event_id: str = "id", status: Word = "SENT", **more: Any) -> EmailStatusEvent:
    """An event as a worker tells it."""
    fields: dict[str, Any] = {
        "attempt": 1,
        "attempts": 1,
        "occurred_at": datetime.fromtimestamp(NOW // SECOND, UTC),
        "recipients": [StatusRecipient(email="ann@example.org", state="sent", code=250)],
        **more,
    }
    return EmailStatusEvent(event_id=event_id, status=status, **fields)


def foreign(status: Word, attempt: int = 1, **more: Any) -> EmailStatusEvent:
    """An event of a worker who never claimed and says no more than it must."""
    return told("id", status, attempt=attempt, attempts=attempt, recipients=None, **more)


def mail(*states: State, leased: bool = True) -> Message:
    """A record with a recipient for each state."""
    people = [
        Recipient(f"{name}@example.org", state=state) for name, state in zip("abcd", states, strict=False)
    ]
    message = Message(
        id="id", message_id="<id@house>", recipients=people, created_at=NOW - 2 * SECOND, due_at=NOW
    )
    message.expires_at = NOW + 3600 * SECOND
    if leased:
        advance.claim(message, "worker", NOW + SECOND)
    return message


def settlement(message: Message, *outcomes: Outcome, attempts: int = 3) -> Settlement:
    """What a worker decides from these outcomes."""
    policy = Policy(attempts=attempts)
    decisions = {
        recipient.email: decide(recipient, message.lane, outcome, policy)
        for recipient, outcome in zip(message.recipients, outcomes, strict=True)
    }
    return Settlement(id=message.id, fence=message.fence, transport="smtp", decisions=decisions)


def apply(message: Message, *events: EmailStatusEvent) -> Message:
    """The record after these events, as they come over the wire."""
    for event in events:
        event = msgspec.json.decode(msgspec.json.encode(event), type=EmailStatusEvent)
        said = settlement_of(event, message.id)
        if advance.fits(message, said):
            advance.settle(message, said, NOW)
    return message


OUTCOMES: dict[str, list[Outcome]] = {
    "sent": [ACCEPTED],
    "refused": [classify(550, "5.1.1", "no such mailbox")],
    "deferred": [classify(451, "4.3.0", "later")],
    "greylisted": [classify(450, "4.7.1", "greylisted")],
    "link lost": [link_lost("the link died")],
    "unknown": [unknown("no reply")],
    "ours": [refused("cannot be written")],
    "mixed": [ACCEPTED, classify(550, None, "no"), classify(451, None, "later"), unknown("no reply")],
}


@pytest.mark.parametrize("attempts", [3, 1])
@pytest.mark.parametrize("outcomes", OUTCOMES.values(), ids=OUTCOMES.keys())
def test_the_record_is_the_same_by_both_ways(outcomes: list[Outcome], attempts: int) -> None:
    """All but the words of a success, which an event has no place for."""
    direct, by_event = (mail(*["pending"] * len(outcomes)) for _ in range(2))
    said = msgspec.structs.replace(settlement(direct, *outcomes, attempts=attempts), took=Took(1, 2, 3))
    event = status_event(after(by_event, said, NOW), said, NOW)
    advance.settle(direct, said, NOW)
    apply(by_event, event)
    assert by_event.recipients == direct.recipients
    assert by_event.took == direct.took == Took(1, 2, 3)
    assert (by_event.due_at, by_event.owner, by_event.status) == (direct.due_at, None, direct.status)
    assert by_event.provider_message_id == direct.provider_message_id
    assert [(each.event, each.attempt, each.transport) for each in by_event.history] == [
        (each.event, each.attempt, each.transport) for each in direct.history
    ]


def test_whoever_is_held_back_beside_others_is_so_by_both_ways() -> None:
    direct, by_event = mail("pending", "pending"), mail("pending", "pending")
    said = settlement(direct, ACCEPTED, ACCEPTED)
    said.decisions["b@example.org"] = held_back("on the suppression list: manual")
    event = status_event(after(by_event, said, NOW), said, NOW)
    advance.settle(direct, said, NOW)
    apply(by_event, event)
    assert by_event.recipients == direct.recipients
    assert [(each.state, each.attempts) for each in direct.recipients] == [("sent", 1), ("suppressed", 0)]
    alone = Settlement(id="id", fence=1, decisions={"b@example.org": said.decisions["b@example.org"]})
    assert not is_of_an_attempt(alone), "nothing was tried"


def test_what_an_event_says() -> None:
    message = mail("pending")
    said = msgspec.structs.replace(
        settlement(message, classify(451, "4.3.0", "later")), took=Took(1900, 30, 70)
    )
    event = status_event(after(message, said, NOW), said, NOW)
    shown = msgspec.json.decode(msgspec.json.encode(event))
    assert shown["eventId"] == "id"
    assert (shown["status"], shown["attempt"], shown["attempts"], shown["fence"]) == ("PENDING", 1, 1, 1)
    assert (shown["error"], shown["provider"]) == ("later", "smtp")
    assert shown["occurredAt"] == "2027-01-15T08:00:00Z"
    assert shown["nextAttemptAt"] > shown["occurredAt"]
    assert shown["metrics"] == {"queuedMs": 1900, "renderMs": 30, "deliveryMs": 70, "totalMs": 2000}
    assert shown["recipients"] == [
        {
            "email": "a@example.org",
            "state": "deferred",
            "code": 451,
            "enhancedCode": "4.3.0",
            "error": "later",
        }
    ]
    assert message.recipients[0].state == "sending", "the worker's own record stays as it was"


def test_a_producer_s_own_name_is_told() -> None:
    message = mail("pending")
    message.event_id = "order-1"
    said = settlement(message, ACCEPTED)
    assert status_event(after(message, said, NOW), said, NOW).event_id == "order-1"


def test_what_is_only_given_back_is_not_told() -> None:
    message = mail("pending")
    assert not is_of_an_attempt(settlement(message, not_begun("busy")))
    assert is_of_an_attempt(settlement(message, ACCEPTED))


def test_by_fence_twice_is_once_and_a_stale_one_is_nothing() -> None:
    message = mail("pending")
    event = told(fence=1, recipients=[StatusRecipient(email="a@example.org", state="deferred", code=451)])
    apply(message, event)
    once = msgspec.structs.replace(message)
    apply(message, event)
    assert message == once
    advance.claim(message, "other", NOW + SECOND)
    apply(message, event)
    assert (message.state, message.owner) == ("sending", "other")


@pytest.mark.parametrize(
    ("events", "state", "attempts"),
    [
        ([foreign("SENT")], "sent", 1),
        ([foreign("SENT")] * 3, "sent", 1),
        ([foreign("FAILED", error="no")], "failed", 1),
        ([foreign("UNKNOWN")], "unknown", 1),
        ([foreign("UNKNOWN"), foreign("SENT")], "sent", 1),
        ([foreign("PENDING"), foreign("SENT", 2)], "sent", 2),
        ([foreign("SENT", 2), foreign("PENDING", 1)], "sent", 2),
        ([foreign("FAILED", 3), foreign("PENDING", 2), foreign("PENDING", 1)], "failed", 3),
        ([foreign("PENDING", 1), foreign("FAILED", 1)], "failed", 1),
        ([foreign("PENDING", 2), foreign("FAILED", 1)], "deferred", 2),
        ([foreign("FAILED"), foreign("SENT")], "failed", 1),
    ],
)
def test_foreign_events_doubled_late_and_out_of_order(
    events: list[EmailStatusEvent], state: State, attempts: int
) -> None:
    message = apply(mail("pending", leased=False), *events)
    assert (message.state, message.attempts) == (state, attempts)
    assert (message.due_at is None) == (state not in ("deferred", "pending"))


def test_a_foreign_event_leaves_our_lease_alone() -> None:
    """The worker's own settlement finds the recipient moved."""
    message = mail("pending")
    apply(message, foreign("SENT"))
    assert (message.state, message.owner, message.sent_at) == ("sent", "worker", NOW)
    advance.settle(message, settlement(message, classify(451, None, "later")), NOW)
    assert (message.state, message.owner, message.due_at) == ("sent", None, None)


def test_a_late_word_on_an_old_attempt_takes_nothing_from_a_worker() -> None:
    message = apply(mail("pending", leased=False), foreign("PENDING"))
    advance.claim(message, "worker", NOW + SECOND)
    apply(message, foreign("PENDING"), foreign("FAILED"))
    assert message.state == "sending"


def test_a_foreign_event_names_whom_it_means() -> None:
    message = mail("pending", "pending", leased=False)
    said = [StatusRecipient(email="b@example.org", state="failed", code=550, error="no")]
    apply(message, foreign("FAILED"))
    assert [each.state for each in message.recipients] == ["failed", "failed"]
    other = mail("pending", "pending", leased=False)
    apply(other, told("id", "PENDING", recipients=said))
    assert [each.state for each in other.recipients] == ["pending", "failed"]
    assert other.recipients[1].code == 550


def test_rounds_hold_each_record_once() -> None:
    said = [Settlement(id=id, fence=None, decisions={}) for id in "abacab"]
    assert once_each(said) == [[0, 1, 3], [2, 5], [4]]
