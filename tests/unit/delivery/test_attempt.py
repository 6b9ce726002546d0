"""An attempt: the lease and the journal before the end of data, a decision for each recipient after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.delivery.breaker import Breaker
from posthouse.delivery.journal import Journal, abandoned
from posthouse.mail.advance import Settlement
from posthouse.mail.message import Message
from posthouse.mail.outcome import classify, not_begun, transport_away
from posthouse.mail.retry import Policy
from tests.unit.delivery.parts import Hop, attempt, claimed, full, opened_journal

OK = classify(250, "2.0.0", "ok")
NO = classify(550, "5.1.1", "no such user")
AWAY = transport_away("connection refused")


class Desk:
    """Attempts on one journal and one breaker, and the settlements they end in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journals"
        self.journal: Journal = opened_journal(folder)
        self.breaker = Breaker(Hop(), 900.0, lambda *_: None)
        self.settlements: list[Settlement] = []

    def attempt(self, message: Message, lease: float = 60.0, policy: Policy | None = None):
        made = attempt(
            message, self.journal, lambda _, said: self.settlements.append(said), lease=lease, policy=policy
        )
        made.breaker = self.breaker
        return made

    def left(self):
        """The journal as it is found after our death."""
        self.journal._let_go()
        (found,) = abandoned(self.folder, "store-1")
        found.close(remove=True)
        self.journal.open()
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.journal.close()


def test_it_is_of_those_that_are_being_sent(desk: Desk) -> None:
    message = claimed("a@x.example", "b@x.example")
    message.recipients[0].state = "sent"
    made = desk.attempt(message)
    assert (made.id, made.lane, list(made.recipients)) == ("1", "transactional", ["b@x.example"])


def test_begin_is_in_the_journal_when_it_answers(desk: Desk) -> None:
    message = claimed("a@x.example", "b@x.example")
    assert desk.attempt(message).begin([None, NO])
    left = desk.left()
    begun = left.begun["1"]
    assert (begun.fence, begun.transport) == (message.fence, "hop:")
    assert begun.replies == {"a@x.example": None, "b@x.example": NO}
    assert left.replies == {}


def test_done_is_in_the_journal_and_settled(desk: Desk) -> None:
    made = desk.attempt(claimed("a@x.example", "b@x.example"))
    made.begin([None, NO])
    made.done([OK, NO])
    assert desk.left().replies["1"].outcomes == {"a@x.example": OK, "b@x.example": NO}
    (said,) = desk.settlements
    assert (said.id, said.fence, said.transport, said.lost) == ("1", 1, "hop:", False)
    assert {email: d.event for email, d in said.decisions.items()} == {
        "a@x.example": "accept",
        "b@x.example": "fail",
    }


@pytest.mark.parametrize("lease", [0.0, -5.0])
def test_without_a_lease_nothing_is_begun(desk: Desk, lease: float) -> None:
    made = desk.attempt(claimed(), lease=lease)
    assert not made.begin([None])
    assert desk.left().begun == {}


def test_a_journal_that_cannot_be_written_lets_nothing_begin(desk: Desk) -> None:
    """What it cannot note must not be sent: our death would make it happen twice without a word."""
    made = desk.attempt(claimed())
    with full(desk.journal):
        assert not made.begin([None])
    made.done([not_begun("the lease is over")])
    assert desk.settlements[0].decisions["a@x.example"].event == "return"


def test_a_reply_that_cannot_be_noted_is_settled_all_the_same(desk: Desk) -> None:
    made = desk.attempt(claimed())
    assert made.begin([None])
    with full(desk.journal):
        made.done([OK])
    assert desk.settlements[0].decisions["a@x.example"].event == "accept"


def test_what_never_began_leaves_no_reply_in_the_journal(desk: Desk) -> None:
    made = desk.attempt(claimed())
    made.done([not_begun("busy")])
    assert desk.left().replies == {}
    assert not desk.settlements[0].decisions["a@x.example"].tried


def test_while_the_transport_has_not_been_away_for_long_attempts_alone_fail_nothing(desk: Desk) -> None:
    """The breaker hears of it, and the decision knows how long the transport has been away."""
    message = claimed()
    message.recipients[0].spent = 9
    desk.attempt(message).done([AWAY])
    assert desk.breaker.away > 0
    desk.attempt(message, policy=Policy(outage=0.0)).done([AWAY])
    events = [said.decisions["a@x.example"].event for said in desk.settlements]
    assert events == ["defer", "fail"]


def test_what_is_handed_back_waits_as_told(desk: Desk) -> None:
    made = desk.attempt(claimed())
    made.settle([not_begun("the breaker is open")], wait=4.0)
    decision = desk.settlements[0].decisions["a@x.example"]
    assert (decision.event, decision.wait, decision.spent) == ("return", 4.0, 0)


def test_where_the_time_went(desk: Desk) -> None:
    """Created 2 s before it was leased; then 3 s of building and 4 s of delivery, by the clock of this machine."""
    message = claimed()
    message.created_at -= 2_000_000
    made = desk.attempt(message)
    made.started -= 7.0
    made.handed = made.started + 3.0
    made.done([OK])
    took = desk.settlements[0].took
    assert took is not None
    assert (took.queued, took.render, took.total) == (2000, 3000, 5000 + took.delivery)
    assert 4000 <= took.delivery < 64_000


def test_what_could_not_be_built_was_with_no_transport(desk: Desk) -> None:
    made = desk.attempt(claimed())
    made.settle([NO])
    took = desk.settlements[0].took
    assert took is not None
    assert (took.queued, took.delivery) == (0, 0)


def test_the_data_is_let_go(desk: Desk) -> None:
    made = desk.attempt(claimed())
    made.data = b"x" * 100
    made.done([OK])
    assert made.data == b""
