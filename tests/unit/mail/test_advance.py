"""Every change of a message, on a clock of the test's own. Times are microseconds; S is one second."""

import pytest

from posthouse.mail import advance
from posthouse.mail.advance import HISTORY, LONELY, POISON, Settlement
from posthouse.mail.message import SECOND as S
from posthouse.mail.message import HistoryEntry, Message, Recipient
from posthouse.mail.outcome import Outcome, classify, not_begun, unknown
from posthouse.mail.retry import Policy, decide

NOW = 1_000 * S
OK = classify(250, "2.0.0", "ok")
LATER = classify(451, "4.3.0", "later")
GREY = classify(450, "4.2.0", "grey")
NO = classify(550, "5.1.1", "no such user")
UNSAID = not_begun("busy")
NOBODY_KNOWS = unknown("no reply")
POLICY = Policy(backoff=10.0)


def accepted(*emails: str, expire: float = 3600.0, **fields) -> Message:
    recipients = [Recipient(email) for email in emails or ("a@x.example",)]
    message = Message(id="1", message_id="<1@x>", recipients=recipients, **fields)
    advance.accept(message, NOW, expire)
    return message


def claimed(*emails: str, **fields) -> Message:
    message = accepted(*emails, **fields)
    advance.claim(message, "worker", NOW + 60 * S)
    return message


def settle(
    message: Message, *outcomes: Outcome, now: int = NOW, lost: bool = False, wait: float = 0.0
) -> None:
    """Settles what is being sent with these outcomes, in order; those left over are not spoken of."""
    sending = [recipient for recipient in message.recipients if recipient.state == "sending"]
    decisions = {
        recipient.email: decide(recipient, message.lane, outcome, POLICY, wait=wait, chance=0.0)
        for recipient, outcome in zip(sending, outcomes, strict=False)
    }
    said = Settlement(id="1", fence=message.fence, transport="t:", decisions=decisions, lost=lost)
    advance.settle(message, said, now)


def states(message: Message) -> list[str]:
    return [recipient.state for recipient in message.recipients]


# accept


def test_accept_starts_the_clock() -> None:
    message = accepted(expire=100.0)
    assert (message.created_at, message.due_at, message.expires_at) == (NOW, NOW, NOW + 100 * S)
    assert (message.version, message.fence, message.owner) == (1, 0, None)
    assert message.history == [HistoryEntry(at=NOW, event="accepted")]


@pytest.mark.parametrize(("scheduled", "due"), [(NOW + 9 * S, NOW + 9 * S), (NOW - 9 * S, NOW)])
def test_accept_of_scheduled_mail(scheduled: int, due: int) -> None:
    message = accepted(scheduled_at=scheduled, expire=100.0)
    assert (message.due_at, message.expires_at) == (due, due + 100 * S)


def test_accept_keeps_a_time_to_expire() -> None:
    assert accepted(expires_at=NOW + 5).expires_at == NOW + 5


def test_accept_twice_is_accept_once() -> None:
    """A batch that failed is split and saved again, with the same drafts."""
    message = accepted()
    advance.accept(message, NOW, 3600.0)
    assert message == accepted()


def test_created_at_grows_even_when_the_clock_goes_back_and_due_at_is_now() -> None:
    message = Message(id="1", message_id="<1@x>", recipients=[Recipient("a@x.example")])
    advance.accept(message, NOW, 10.0, after=NOW + 500 * S)
    assert (message.created_at, message.due_at) == (NOW + 500 * S + 1, NOW)
    assert message.expires_at == NOW + 10 * S


# claim, renew, release


def test_claim_leases_what_is_open() -> None:
    message = accepted("a@x.example", "b@x.example", "c@x.example")
    message.recipients[1].state, message.recipients[2].state = "failed", "deferred"
    advance.claim(message, "worker", NOW + 60 * S)
    assert states(message) == ["sending", "failed", "sending"]
    assert (message.owner, message.fence, message.version, message.due_at) == ("worker", 1, 2, NOW + 60 * S)


def test_a_takeover_is_of_what_was_being_sent_only() -> None:
    message = claimed("a@x.example", "b@x.example")
    message.recipients[1].state = "pending"
    advance.claim(message, "rescuer", NOW + 90 * S)
    assert states(message) == ["sending", "pending"]
    assert (message.owner, message.fence) == ("rescuer", 2)


def test_renew_moves_the_end_of_the_lease_only() -> None:
    message = claimed()
    advance.renew(message, NOW + 99 * S)
    assert (message.due_at, message.fence, message.version, message.owner) == (NOW + 99 * S, 1, 3, "worker")


def test_release_gives_back_what_was() -> None:
    message = accepted("a@x.example", "b@x.example")
    message.recipients[1].state, message.recipients[1].attempts = "deferred", 1
    advance.claim(message, "worker", NOW + 60 * S)
    advance.release(message, 5.0, NOW)
    assert states(message) == ["pending", "deferred"]
    assert (message.owner, message.due_at, message.version) == (None, NOW + 5 * S, 3)
    assert [recipient.spent for recipient in message.recipients] == [0, 0]
    assert len(message.history) == 1


# settle


def test_settle_writes_each_outcome() -> None:
    message = claimed("a@x.example", "b@x.example", "c@x.example", "d@x.example")
    settle(message, OK, NO, LATER, now=NOW + S)
    assert states(message) == ["sent", "failed", "deferred", "pending"]
    first, second, third, fourth = message.recipients
    assert (first.code, first.error, first.at, first.attempts) == (250, None, NOW + S, 1)
    assert (second.code, second.enhanced_code, second.error) == (550, "5.1.1", "no such user")
    assert (third.spent, fourth.attempts, fourth.at) == (1, 0, None)
    assert message.due_at == NOW + 11 * S
    told = [(entry.event, entry.recipient, entry.attempt, entry.code) for entry in message.history[1:]]
    assert told == [
        ("sent", "a@x.example", 1, 250),
        ("failed", "b@x.example", 1, 550),
        ("deferred", "c@x.example", 1, 451),
    ]
    assert {entry.transport for entry in message.history[1:]} == {"t:"}


def test_settle_closes_when_nothing_is_open() -> None:
    message = claimed("a@x.example", "b@x.example")
    settle(message, OK, NO, now=NOW + S)
    assert (message.due_at, message.owner, message.status) == (None, None, "SENT")
    assert (message.sent_at, message.failed_at) == (NOW + S, None)


def test_settle_waits_for_the_longest() -> None:
    message = claimed("a@x.example", "b@x.example")
    settle(message, GREY, LATER)
    assert message.due_at == NOW + 300 * S
    assert [recipient.waits for recipient in message.recipients] == [1, 0]
    assert [recipient.spent for recipient in message.recipients] == [0, 1]


def test_what_was_not_begun_leaves_no_trace() -> None:
    message = claimed()
    before = message.recipients[0].attempts, len(message.history), message.losses
    settle(message, UNSAID, wait=2.0)
    assert (message.recipients[0].attempts, len(message.history), message.losses) == before
    assert (states(message), message.due_at) == (["pending"], NOW + 2 * S)


def test_what_was_not_begun_and_was_told_of_meanwhile_stays_as_told() -> None:
    """A provider's webhook beat the worker: handing the mail back must not be refused for it."""
    message = claimed("a@x.example", "b@x.example")
    message.recipients[0].state = "delivered"
    said = {
        recipient.email: decide(recipient, "bulk", UNSAID, POLICY, wait=3.0)
        for recipient in message.recipients
    }
    advance.settle(message, Settlement(id="1", fence=1, decisions=said), NOW)
    assert (states(message), message.due_at) == (["delivered", "pending"], NOW + 3 * S)


def test_what_would_wait_beyond_its_time_ends_now() -> None:
    message = claimed(expires_at=NOW + 10 * S)
    settle(message, LATER)
    assert (states(message), message.due_at, message.failed_at) == (["failed"], None, NOW)
    assert (message.error, message.attempts) == ("later", 1)


def test_what_is_due_again_just_in_time_waits() -> None:
    message = claimed(expires_at=NOW + 10 * S + 1)
    settle(message, LATER)
    assert states(message) == ["deferred"]


def test_the_unknown_that_would_wait_beyond_its_time_ends_as_unknown() -> None:
    message = claimed(expires_at=NOW + S)
    settle(message, NOBODY_KNOWS)
    assert (states(message), message.uncertain, message.failed_at) == (["unknown"], 1, None)
    assert message.history[-1].event == "unknown"


def test_unknown_is_counted_and_told() -> None:
    message = claimed()
    settle(message, NOBODY_KNOWS)
    assert (states(message), message.uncertain, message.attempts) == (["deferred"], 1, 1)
    assert message.history[-1].event == "unknown"
    advance.claim(message, "worker", NOW)
    settle(message, OK)
    assert (states(message), message.uncertain, message.error) == (["sent"], 1, None)


def test_first_times_are_kept_for_ever() -> None:
    message = claimed()
    settle(message, NO, now=NOW + 1)
    advance.retry(message, NOW + 2, 60.0)
    advance.claim(message, "worker", NOW + 3)
    settle(message, OK, now=NOW + 4)
    assert (message.failed_at, message.sent_at) == (NOW + 1, NOW + 4)
    advance.close(message, NOW + 9, None)
    assert (message.failed_at, message.sent_at) == (NOW + 1, NOW + 4)


def test_an_open_recipient_keeps_a_message_from_being_sent() -> None:
    message = claimed("a@x.example", "b@x.example")
    settle(message, OK, LATER)
    assert (message.sent_at, message.status) == (None, "PENDING")


# losses and poison


def die(message: Message, outcome: Outcome = UNSAID) -> None:
    advance.claim(message, "rescuer", NOW)
    settle(message, outcome, lost=True)


def test_five_deaths_are_poison() -> None:
    """At two it is claimed alone, three more while alone end it (DESIGN §3.7)."""
    message = accepted()
    for losses in range(1, POISON):
        die(message)
        assert (message.losses, states(message)) == (losses, ["pending"])
    assert (LONELY, POISON) == (2, 5)
    die(message)
    assert (states(message), message.due_at) == (["failed"], None)
    assert "poison" in (message.error or "")
    assert (message.history[-1].event, message.history[-1].attempt) == ("failed", None)


def test_poison_leaves_what_was_sent() -> None:
    message = claimed("a@x.example", "b@x.example")
    settle(message, OK, LATER)
    message.losses = POISON - 1
    die(message, LATER)
    assert states(message) == ["sent", "failed"]
    assert message.status == "SENT"


def test_attempts_that_are_spent_come_before_poison() -> None:
    message = accepted()
    for _ in range(3):
        die(message, NOBODY_KNOWS)
    assert (states(message), message.losses, message.uncertain) == (["unknown"], 3, 3)


def test_a_settled_attempt_clears_the_losses_and_handing_back_does_not() -> None:
    message = accepted()
    die(message)
    advance.claim(message, "worker", NOW)
    settle(message, UNSAID)
    assert message.losses == 1
    advance.claim(message, "worker", NOW)
    settle(message, LATER)
    assert message.losses == 0


# retry


def test_retry_gives_failed_and_unknown_a_fresh_budget() -> None:
    message = claimed("a@x.example", "b@x.example", "c@x.example", lane="bulk")
    settle(message, OK, NO, NOBODY_KNOWS)
    again = advance.retry(message, NOW + 5 * S, 7200.0)
    assert [recipient.email for recipient in again] == ["b@x.example", "c@x.example"]
    assert states(message) == ["sent", "pending", "pending"]
    assert [(recipient.spent, recipient.attempts) for recipient in again] == [(0, 1), (0, 1)]
    assert (message.due_at, message.losses, message.expires_at) == (NOW + 5 * S, 0, NOW + 7205 * S)
    assert [entry.event for entry in message.history[-2:]] == ["retry", "retry"]


def test_retry_of_nothing_changes_nothing() -> None:
    message = claimed()
    settle(message, OK)
    before = message.version, message.due_at, len(message.history), message.expires_at
    assert advance.retry(message, NOW + 9, 9e9) == []
    assert (message.version, message.due_at, len(message.history), message.expires_at) == before


def test_retry_while_another_recipient_is_in_the_air_leaves_the_lease() -> None:
    message = claimed("a@x.example", "b@x.example")
    settle(message, NO, LATER)
    advance.claim(message, "worker", NOW + 60 * S)
    advance.retry(message, NOW, 3600.0)
    assert (message.owner, message.due_at, states(message)) == (
        "worker",
        NOW + 60 * S,
        ["pending", "sending"],
    )
    settle(message, OK)
    assert (states(message), message.owner, message.due_at) == (["pending", "sent"], None, NOW)


# history


def test_the_history_is_bounded_and_keeps_the_oldest() -> None:
    message = claimed()
    settle(message, NO)
    for turn in range(HISTORY):
        advance.retry(message, NOW + turn, 3600.0)
        advance.claim(message, "worker", NOW)
        settle(message, NO)
    assert len(message.history) == HISTORY
    assert message.history[0].event == "accepted"
    assert message.attempts == HISTORY + 1
