"""The record as it speaks of itself: the fold, the worst attempts, the errors; and its way through JSON."""

import msgspec
import pytest

from posthouse.mail.message import Content, HistoryEntry, Mailbox, Message, Recipient


def message(*recipients: Recipient, **fields) -> Message:
    return Message(id="1", message_id="<1@x>", recipients=list(recipients), **fields)


def one(state, error: str | None = None, email: str = "a@x.example", **more: int) -> Recipient:
    return Recipient(email, state=state, error=error, **more)


@pytest.mark.parametrize(
    ("states", "state", "status"),
    [
        (["pending"], "pending", "PENDING"),
        (["sent", "deferred"], "deferred", "PENDING"),
        (["failed", "sending"], "sending", "PENDING"),
        (["failed", "sent"], "sent", "SENT"),
        (["sent", "delivered"], "delivered", "SENT"),
        (["unknown", "sent"], "sent", "SENT"),
        (["unknown", "failed"], "unknown", "PENDING"),
        (["canceled", "suppressed"], "suppressed", "FAILED"),
    ],
)
def test_state_and_status(states, state, status) -> None:
    folded = message(*(one(each) for each in states))
    assert (folded.state, folded.status) == (state, status)


def test_open_recipients() -> None:
    mail = message(one("pending"), one("sent"), one("deferred"), one("unknown"), one("sending"))
    assert [recipient.state for recipient in mail.open] == ["pending", "deferred", "sending"]


def test_attempts_and_uncertain_are_the_most_of_any() -> None:
    mail = message(one("sent", attempts=1, uncertain=2), one("failed", attempts=3))
    assert (mail.attempts, mail.uncertain) == (3, 2)


def test_error_of_one_is_its_text_and_of_several_names_them() -> None:
    assert message(one("failed", "no such user")).error == "no such user"
    several = message(
        one("sent", email="a@x.example"),
        one("failed", "no", "b@x.example"),
        one("unknown", "no reply", "c@x.example"),
    )
    assert several.error == "b@x.example: no; c@x.example: no reply"


def test_what_is_sent_has_no_error() -> None:
    assert message(one("sent", "an old one")).error is None
    assert message(one("delivered", "an old one"), one("sent")).error is None


def test_a_record_and_its_content_come_back_from_what_is_kept() -> None:
    mail = message(
        one("deferred", "später", attempts=2, code=451),
        tags=("a", "b"),
        due_at=5,
        history=[HistoryEntry(at=1, event="accepted"), HistoryEntry(at=2, event="deferred", code=451)],
    )
    assert msgspec.json.decode(msgspec.json.encode(mail), type=Message) == mail
    content = Content(sender=Mailbox("a@x.example", "Ann"), to=(), text="\x00é", variables={"a": [1, None]})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(content), type=Content) == content


def test_two_records_share_nothing() -> None:
    first, second = message(one("pending")), message(one("pending"))
    first.history.append(HistoryEntry(at=1, event="accepted"))
    assert second.history == []
