"""The status log: a line for each final state and each deferral, and nothing that a log must not hold."""

import pytest
import structlog
from structlog.testing import capture_logs

from posthouse.delivery.report import masked, report
from posthouse.mail import advance
from posthouse.mail.advance import Settlement
from posthouse.mail.message import Message
from posthouse.mail.outcome import Outcome, classify, not_begun, unknown
from posthouse.mail.retry import Policy, decide
from tests.unit.delivery.parts import NOW, claimed

OK = classify(250, "2.0.0", "queued")
LATER = classify(451, "4.3.0", "later")
NO = classify(550, "5.1.1", "<bob.secret@x.example>: no such user, ask postmaster@x.example")


def lines(message: Message, *outcomes: Outcome, settled: bool = True) -> list[dict]:
    decisions = {
        recipient.email: decide(recipient, message.lane, outcome, Policy())
        for recipient, outcome in zip(message.recipients, outcomes, strict=True)
    }
    said = Settlement(id=message.id, fence=message.fence, transport="hop:", decisions=decisions)
    advance.settle(message, said, NOW)
    with capture_logs() as logs:
        report(structlog.get_logger(), said, message if settled else None)
    return [dict(line) for line in logs]


def test_a_line_for_each_recipient() -> None:
    message = claimed("ann.secret@x.example", "bob.secret@x.example", "cy.secret@x.example", lane="bulk")
    sent, failed, deferred = lines(message, OK, NO, LATER)
    assert sent == {
        "event": "sent",
        "log_level": "info",
        "id": "1",
        "to": "a***@x.example",
        "attempt": 1,
        "class": "message/ok",
        "code": 250,
        "text": "queued",
        "transport": "hop:",
    }
    assert (failed["event"], failed["log_level"], failed["class"]) == (
        "failed",
        "error",
        "recipient/address",
    )
    assert (deferred["event"], deferred["log_level"], deferred["code"]) == ("deferred", "warning", 451)


def test_no_line_holds_a_whole_address() -> None:
    (line,) = lines(claimed("bob.secret@x.example"), NO)
    assert line["text"] == "<b***@x.example>: no such user, ask p***@x.example"
    assert "secret" not in str(line)


def test_what_was_handed_back_is_not_told() -> None:
    assert lines(claimed(), not_begun("busy")) == []


def test_unknown_that_is_parked_is_loud() -> None:
    (line,) = lines(claimed(lane="bulk"), unknown("no reply"))
    assert (line["event"], line["log_level"]) == ("unknown", "error")


def test_a_stale_settlement_is_told_as_such() -> None:
    (line,) = lines(claimed(), OK, settled=False)
    assert line == {"event": "stale", "log_level": "warning", "id": "1", "fence": 1}


@pytest.mark.parametrize(
    ("email", "shown"),
    [("ann@x.example", "a***@x.example"), ("@x", "***@x"), ('a"@"b@x.example', "a***@x.example")],
)
def test_masked(email: str, shown: str) -> None:
    assert masked(email) == shown
