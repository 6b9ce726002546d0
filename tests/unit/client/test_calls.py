"""The calls of the producer library, step by step: what is asked, when again, and how each end is told."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest

from posthouse.client import calls
from posthouse.client.calls import Ask, Reply, Steps
from posthouse.client.mail import (
    OPEN,
    Attachment,
    Mail,
    Record,
    Refused,
    Sent,
    State,
    Status,
    StillOpen,
    Unreached,
)
from posthouse.mail import lifecycle
from posthouse.submission.reference.examples import sent_email
from posthouse.submission.request import SendRequest

MAIL = Mail(to="ann@x.example", subject="S", text="T")
TAKEN = Reply(202, {"x-message-id": "id-1"}, b"")
NOTHING = Reply(0, {}, b"no answer: ConnectError")


class Run:
    """Carries steps out against a list of replies, on a clock of its own."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.asked, self.now = list(replies), list[Ask](), 0.0

    def __call__(self, steps: Steps[Any]) -> Any:
        reply: Reply | None = None
        try:
            while True:
                step = steps.send(reply)
                reply = None
                if isinstance(step, Ask):
                    self.asked.append(step)
                    reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                else:
                    self.now += step
        except StopIteration as done:
            return done.value

    def send(self, patience: float = 30.0) -> Sent:
        return self(calls.send(MAIL, "the key", patience, lambda: self.now))


def problem(status: int, headers: Mapping[str, str] = {}, **document: Any) -> Reply:
    return Reply(status, headers, msgspec.json.encode({"title": "No", "status": status, **document}))


def record(state: State) -> Reply:
    shown = msgspec.structs.replace(sent_email(), state=state)
    return Reply(200, {}, msgspec.json.encode(shown))


def test_its_words_are_the_servers() -> None:
    assert set(get_args(State)) == set(get_args(lifecycle.State))
    assert set(get_args(Status)) == set(get_args(lifecycle.Status))
    assert set(OPEN) == set(lifecycle.OPEN)
    assert set(Mail.__struct_encode_fields__) == set(SendRequest.__struct_encode_fields__)


def test_a_mail_is_what_the_server_reads() -> None:
    mail = Mail(
        to=["ann@x.example"],
        from_="bob@x.example",
        attachments=[Attachment("a.txt", b"\xff")],
        scheduled_at=datetime(2026, 1, 1, tzinfo=UTC),
        variables={"n": 1},
    )
    request = msgspec.json.decode(msgspec.json.encode(mail), type=SendRequest)
    assert request.attachments is not None
    assert (request.from_, request.attachments[0].content) == ("bob@x.example", b"\xff")
    assert request.scheduled_at == mail.scheduled_at


@pytest.mark.parametrize(
    "reply",
    [
        NOTHING,
        problem(503),
        problem(429, {"retry-after": "1"}),
        problem(409, {"retry-after": "1"}),
        problem(502),
    ],
)
def test_what_may_pass_is_repeated_under_the_same_key(reply: Reply) -> None:
    run = Run(reply, reply, TAKEN)
    assert run.send() == Sent("id-1")
    assert [ask.headers["idempotency-key"] for ask in run.asked] == ["the key"] * 3
    assert len({ask.body for ask in run.asked}) == 1


def test_retry_after_is_heeded() -> None:
    run = Run(problem(429, {"retry-after": "7"}), TAKEN)
    run.send()
    assert run.now >= 7


def test_no_longer_than_it_has_patience_for() -> None:
    run = Run(NOTHING)
    with pytest.raises(Unreached, match="no answer: ConnectError") as raised:
        run.send(10.0)
    assert 5 < run.now <= 10
    assert raised.value.key == "the key"
    with pytest.raises(Refused, match="429"):
        Run(problem(429, {"retry-after": "3600"})).send()


def test_a_refusal_names_what_is_wrong_and_is_not_repeated() -> None:
    run = Run(problem(400, detail="It is wrong.", errors=[{"pointer": "/to", "detail": "must be there"}]))
    with pytest.raises(Refused) as raised:
        run.send()
    assert len(run.asked) == 1
    assert (raised.value.status, raised.value.errors[0].pointer) == (400, "/to")
    assert str(raised.value) == "400 No: It is wrong.: /to: must be there"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (problem(409), Refused),
        (problem(500), Unreached),
        (Reply(401, {}, b"<html>"), Refused),
        (Reply(503, {}, b"\xff"), Unreached),
    ],
)
def test_whatever_the_answer_it_is_told(reply: Reply, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Run(reply).send(0.0)


def test_a_record_is_read() -> None:
    read: Record = Run(record("sent"))(calls.get("id", 1.0, lambda: 0.0))
    assert (read.status, read.state, read.recipients[0].code) == ("SENT", "sent", 250)
    assert read.created_at.tzinfo is not None


def test_wait_ends_when_it_is_closed() -> None:
    run = Run(record("pending"), record("deferred"), NOTHING, record("unknown"))
    read = run(calls.wait("id", 60.0, 30.0, lambda: run.now))
    assert (read.state, read.is_open, len(run.asked)) == ("unknown", False, 4)


def test_wait_ends_when_its_time_is_over() -> None:
    run = Run(record("deferred"))
    with pytest.raises(StillOpen, match="is still deferred") as raised:
        run(calls.wait("id", 5.0, 30.0, lambda: run.now))
    assert raised.value.state == "deferred"
    assert 5.0 <= run.now < 6.5
