"""The lifecycle: every pair of state and event, and the laws, said apart from the table."""

import re
from itertools import combinations_with_replacement, product
from pathlib import Path

import pytest

from posthouse.mail.lifecycle import (
    EVENTS,
    OPEN,
    STATES,
    STATUS,
    TABLE,
    IllegalTransition,
    advance,
    allows,
    fold,
)

PAIRS = list(product(STATES, EVENTS))
WORKER = ("claim", "return", "wait", "accept", "defer", "fail", "park")
PROVIDER = ("deliver", "bounce", "complain")
CLOSED = [state for state in STATES if state not in OPEN]


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair(state, event) -> None:
    """What the table has is what happens; what it has not raises, and names both."""
    if state in TABLE[event]:
        assert allows(state, event)
        assert advance(state, event) == TABLE[event][state]
        assert advance(state, event) in STATES
    else:
        assert not allows(state, event)
        with pytest.raises(IllegalTransition, match=f"{state} can {event}"):
            advance(state, event)


def legal(events=EVENTS, states=STATES):
    """(state, event, next state) of the legal pairs."""
    return [(s, e, advance(s, e)) for s, e in product(states, events) if allows(s, e)]


def test_only_a_person_opens_what_is_closed() -> None:
    assert {(s, e) for s, e, after in legal(states=CLOSED) if after in OPEN} == {
        ("failed", "retry"),
        ("unknown", "retry"),
    }


def test_what_a_provider_says_never_reopens() -> None:
    assert all(after not in OPEN for _, _, after in legal(PROVIDER))


def test_the_webhook_that_beats_the_worker_is_not_undone_by_it() -> None:
    """Whatever the worker has to say of a mail that a provider already told about, it is taken and changes nothing."""
    for state, event in product(("delivered", "bounced", "complained"), ("accept", "defer", "fail", "park")):
        assert advance(state, event) == state


def test_a_double_webhook_changes_nothing() -> None:
    for state, event in product(STATES, PROVIDER):
        if allows(state, event):
            assert advance(advance(state, event), event) == advance(state, event)


def test_a_provider_may_speak_of_any_mail_that_may_have_left() -> None:
    """Only what was suppressed never left; outcomes on `pending` come from workers elsewhere."""
    for state, event in product(STATES, PROVIDER):
        assert allows(state, event) == (state != "suppressed")


def test_late_news_wins() -> None:
    assert advance("delivered", "bounce") == "bounced"
    assert advance("delivered", "complain") == "complained"
    assert advance("complained", "deliver") == "complained"
    assert advance("bounced", "deliver") == "bounced"


def test_accept_never_takes_delivered_back_to_sent() -> None:
    assert advance("delivered", "accept") == "delivered"
    assert {s for s, e, after in legal(("accept",)) if after == "sent"} == {
        "pending",
        "sending",
        "deferred",
        "sent",
        "unknown",
        "canceled",
    }


def test_a_worker_s_outcome_fits_what_it_holds_and_what_foreign_workers_never_claimed() -> None:
    for state, event in product(("pending", "sending", "deferred"), ("accept", "defer", "fail", "park")):
        assert allows(state, event)


def test_a_claim_that_comes_to_nothing_leaves_what_was() -> None:
    assert advance(advance("pending", "claim"), "return") == "pending"
    assert advance(advance("deferred", "claim"), "wait") == "deferred"
    assert {s for s in STATES if allows(s, "return") or allows(s, "wait")} == {"sending"}
    assert {s for s in STATES if allows(s, "claim")} == OPEN


def test_mail_in_the_air_is_not_canceled_but_ends_as_sent_or_canceled_never_deferred() -> None:
    assert not allows("sending", "cancel")
    assert advance("canceled", "accept") == "sent"
    assert {advance("canceled", event) for event in ("defer", "fail")} == {"canceled"}


def test_a_worker_never_closes_in_favour_of_a_person() -> None:
    assert {s for s, _, after in legal(WORKER) if after in ("suppressed", "canceled")} == {"canceled"}


def test_every_state_but_the_first_is_reached_and_every_open_one_can_end() -> None:
    assert {after for *_, after in legal()} == set(STATES)
    for state in OPEN:
        assert any(after not in OPEN for s, _, after in legal() if s == state)


def test_every_state_has_an_outer_word() -> None:
    assert set(STATUS) == set(STATES)
    assert {state for state in STATES if STATUS[state] == "PENDING"} == OPEN | {"unknown"}
    assert {state for state in STATES if STATUS[state] == "SENT"} == {"sent", "delivered", "complained"}
    assert {state for state in STATES if STATUS[state] == "FAILED"} == {
        "bounced",
        "failed",
        "suppressed",
        "canceled",
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_fold_of_a_message(count: int) -> None:
    """Any open → open; else any sent → SENT; else any unknown → unknown; else FAILED (DESIGN §1)."""
    for states in combinations_with_replacement(STATES, count):
        folded = fold(states)
        assert folded in states
        if any(state in OPEN for state in states):
            assert folded in OPEN
        elif any(STATUS[state] == "SENT" for state in states):
            assert STATUS[folded] == "SENT"
        elif "unknown" in states:
            assert folded == "unknown"
        else:
            assert STATUS[folded] == "FAILED"
        assert fold(reversed(states)) == folded


def test_no_other_file_spells_a_transition() -> None:
    """Outside advance.py (which asks the table) no code sets a recipient's state."""
    package = Path(__file__).parents[3] / "posthouse"
    setting = re.compile(r"\b(recipient|r)\.state\s*=[^=]")
    found = [path.name for path in package.rglob("*.py") if setting.search(path.read_text())]
    assert found == ["advance.py"]
