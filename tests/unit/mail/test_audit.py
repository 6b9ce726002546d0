"""What an audit holds against a record: each fault made by hand in a record that was good."""

from collections.abc import Callable

import pytest

from posthouse.mail import advance
from posthouse.mail.advance import HISTORY, Settlement
from posthouse.mail.audit import MEANT, faults
from posthouse.mail.lifecycle import EVENTS
from posthouse.mail.message import SECOND, HistoryEntry, Message, Recipient
from posthouse.mail.notice import NOTICE_KINDS, Notice, NoticeKind
from posthouse.mail.outcome import Outcome, classify, unknown
from posthouse.mail.retry import Policy, decide

NOW = 1_000 * SECOND
OK = classify(250, "2.0.0", "ok")
LATER = classify(451, "4.3.0", "later")
NO = classify(550, "5.1.1", "no such user")


def story(*outcomes: Outcome) -> Message:
    """A record that was tried so often, with these outcomes."""
    message = Message(id="1", message_id="<1@x>", recipients=[Recipient("a@x.example")])
    advance.accept(message, NOW, 3600.0)
    for outcome in outcomes:
        advance.claim(message, "worker", NOW + SECOND)
        decision = decide(message.recipients[0], "transactional", outcome, Policy(attempts=9))
        advance.settle(
            message, Settlement(id="1", fence=message.fence, decisions={"a@x.example": decision}), NOW
        )
    return message


@pytest.mark.parametrize(
    "outcomes", [(), (OK,), (LATER,), (LATER, OK), (unknown("lost"), OK), (LATER, unknown("lost"), NO)]
)
def test_what_the_house_writes_is_faultless(outcomes: tuple[Outcome, ...]) -> None:
    assert faults(story(*outcomes)) == []


def test_a_leased_and_a_retried_record_are_faultless() -> None:
    message = story(LATER)
    advance.claim(message, "worker", NOW)
    assert faults(message) == []
    failed = story(NO)
    advance.retry(failed, NOW, 60.0)
    assert faults(failed) == []


@pytest.mark.parametrize("outcomes", [(), (OK,), (LATER,), (NO,)])
@pytest.mark.parametrize("kind", NOTICE_KINDS)
def test_what_a_provider_tells_is_no_fault(outcomes: tuple[Outcome, ...], kind: NoticeKind) -> None:
    """Whenever it tells it, and where it moves nothing."""
    message = story(*outcomes)
    for each in (kind, "opened", kind):
        notice = Notice(provider="p", key="k", kind=each, recipient="A@x.example", at=NOW)
        assert advance.hear(message, notice, NOW)
        assert faults(message) == []


def set_(**values: object) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        for name, value in values.items():
            setattr(message, name, value)

    return change


def of_recipient(**values: object) -> Callable[[Message], None]:
    return lambda message: set_(**values)(message.recipients[0])  # type: ignore[arg-type]


def told(*events: str) -> Callable[[Message], None]:
    """A history that tells this of the recipient."""
    entries = [
        HistoryEntry(at=NOW, event=event, recipient="a@x.example", attempt=number)
        for number, event in enumerate(events, 1)
    ]
    return set_(history=[HistoryEntry(at=NOW, event="accepted"), *entries])


@pytest.mark.parametrize(
    ("outcomes", "harm", "fault"),
    [
        ((), set_(due_at=None), "open but has no due_at"),
        ((OK,), set_(due_at=NOW), "closed but has a due_at"),
        ((OK,), set_(owner="worker"), "closed but held"),
        ((LATER,), of_recipient(state="sending"), "no worker holds it"),
        ((OK,), set_(sent_at=None), "no sent_at"),
        ((NO,), set_(failed_at=None), "no failed_at"),
        ((OK,), set_(history=[]), "does not begin with accepted"),
        ((NO,), of_recipient(state="sent"), "it is sent, but its history ends in failed"),
        ((OK,), told("sent", "retry"), "its history cannot be: sent → retry"),
        ((OK,), told("posted"), "its history cannot be: posted"),
        ((OK,), told("deferred", "sent"), "counts 1 attempts, its history 2"),
        ((OK,), of_recipient(uncertain=2), "counts 2 unknown outcomes, its history 0"),
    ],
)
def test_every_fault_is_found(
    outcomes: tuple[Outcome, ...], harm: Callable[[Message], None], fault: str
) -> None:
    message = story(*outcomes)
    harm(message)
    assert any(fault in each for each in faults(message)), faults(message)


def test_a_history_that_was_cut_is_not_held_against_the_record() -> None:
    message = story(LATER, OK)
    message.history = [message.history[0]] + [message.history[1]] * (HISTORY - 1)
    assert faults(message) == []


def test_the_words_of_histories_are_events_of_the_lifecycle() -> None:
    assert {event for events in MEANT.values() for event in events} <= set(EVENTS)
