"""The retry policy: what follows from an outcome (DESIGN §3.7 and §3.8), as a table of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.message import LANES, Recipient
from posthouse.mail.outcome import Outcome, classify, link_lost, not_begun, refused, transport_away, unknown
from posthouse.mail.retry import GREYLIST_FIRST, JITTER, LONGEST_WAIT, Policy, decide, until

OK = classify(250, "2.0.0", "ok")
LATER = classify(451, "4.3.0", "later")
GREY = classify(450, "4.2.0", "greylisted")
NEVER = classify(550, "5.1.1", "no")
AWAY = transport_away("connection refused")
LOST = link_lost("reset")
UNSAID = not_begun("the pool was busy")
NOBODY_KNOWS = unknown("no reply")

PLAIN = Policy(outage=0.0)


def recipient(spent: int = 0, attempts: int | None = None, **more: int) -> Recipient:
    return Recipient("a@x.example", attempts=spent if attempts is None else attempts, spent=spent, **more)


CASES = [
    # outcome, spent before, seconds the transport is away, policy, lane, the event that follows
    (OK, 0, 0, Policy(), "transactional", "accept"),
    (OK, 99, 9e9, Policy(), "bulk", "accept"),
    (NEVER, 0, 0, Policy(), "transactional", "fail"),
    (refused("too large"), 0, 0, Policy(), "bulk", "fail"),
    # the budget of a mail that gets 4xx, or whose link is lost
    (LATER, 0, 0, Policy(), "transactional", "defer"),
    (LATER, 1, 0, Policy(), "transactional", "defer"),
    (LATER, 2, 0, Policy(), "transactional", "fail"),
    (LATER, 2, 0, Policy(attempts=4), "transactional", "defer"),
    (LATER, 0, 0, Policy(attempts=1), "transactional", "fail"),
    (LATER, 7, 0, Policy(), "transactional", "fail"),
    (LOST, 1, 0, Policy(), "bulk", "defer"),
    (LOST, 2, 0, Policy(), "bulk", "fail"),
    # greylisting spends time only: it is never the last
    (GREY, 2, 0, Policy(), "transactional", "defer"),
    (GREY, 9, 0, Policy(attempts=1), "bulk", "defer"),
    # a transport that is away: attempts alone fail nothing before the outage has lasted
    (AWAY, 2, 0, Policy(), "transactional", "defer"),
    (AWAY, 50, 899, Policy(), "transactional", "defer"),
    (AWAY, 2, 900, Policy(), "transactional", "fail"),
    (AWAY, 1, 9000, Policy(), "transactional", "defer"),
    # ... which protects nothing that is the mail's own
    (LATER, 2, 10, Policy(), "transactional", "fail"),
    # outage=0: the plain rule of three
    (AWAY, 1, 0, PLAIN, "transactional", "defer"),
    (AWAY, 2, 0, PLAIN, "transactional", "fail"),
    # unknown: sent again, or held, as the lane says; spent attempts end it as unknown
    (NOBODY_KNOWS, 0, 0, Policy(), "transactional", "defer"),
    (NOBODY_KNOWS, 1, 0, Policy(), "transactional", "defer"),
    (NOBODY_KNOWS, 2, 0, Policy(), "transactional", "park"),
    (NOBODY_KNOWS, 0, 0, Policy(), "bulk", "park"),
    (
        NOBODY_KNOWS,
        0,
        0,
        Policy(on_unknown={"transactional": "hold", "bulk": "resend"}),
        "transactional",
        "park",
    ),
    (NOBODY_KNOWS, 0, 0, Policy(on_unknown={"transactional": "hold", "bulk": "resend"}), "bulk", "defer"),
]


@pytest.mark.parametrize(("outcome", "spent", "away", "policy", "lane", "event"), CASES)
def test_what_follows(outcome: Outcome, spent, away, policy, lane, event) -> None:
    decision = decide(recipient(spent), lane, outcome, policy, away=away)
    assert (decision.event, decision.outcome, decision.tried) == (event, outcome, True)


@pytest.mark.parametrize(("attempts", "event"), [(0, "return"), (1, "wait"), (9, "wait")])
def test_what_was_not_begun_spends_nothing(attempts: int, event: str) -> None:
    """However often it happens, and whatever has been spent."""
    decision = decide(recipient(9, attempts), "bulk", UNSAID, Policy(attempts=1), wait=7.5)
    assert (decision.event, decision.tried, decision.spent, decision.wait) == (event, False, 0, 7.5)


@pytest.mark.parametrize(
    ("outcome", "spent"), [(LATER, 1), (LOST, 1), (AWAY, 1), (NOBODY_KNOWS, 1), (GREY, 0)]
)
def test_what_a_try_costs(outcome: Outcome, spent: int) -> None:
    assert decide(recipient(), "transactional", outcome, Policy()).spent == spent


def wait(outcome: Outcome, policy: Policy, chance: float = 0.0, **so_far: int) -> float:
    return decide(recipient(**so_far), "transactional", outcome, policy, chance=chance).wait


def test_waits_double_up_to_the_longest() -> None:
    policy = Policy(attempts=99, backoff=10.0)
    waits = [wait(LATER, policy, spent=spent) for spent in range(12)]
    assert waits[:4] == [10.0, 20.0, 40.0, 80.0]
    assert waits[-1] == LONGEST_WAIT
    assert waits == sorted(waits)


def test_greylisting_waits_five_minutes_and_doubles_by_its_own_count() -> None:
    policy = Policy(attempts=99, backoff=0.001)
    assert [wait(GREY, policy, waits=waits) for waits in range(5)] == [300.0, 600.0, 1200.0, 2400.0, 3600.0]
    assert wait(GREY, policy, spent=8) == GREYLIST_FIRST >= 300


def test_what_is_final_waits_for_nothing() -> None:
    for outcome in (OK, NEVER):
        assert wait(outcome, Policy()) == 0.0


@given(
    chance=st.floats(0, 1),
    spent=st.integers(0, 5000),
    waits=st.integers(0, 5000),
    outcome=st.sampled_from([LATER, GREY, AWAY, LOST, NOBODY_KNOWS]),
)
def test_jitter_only_stretches_and_only_so_far(chance, spent, waits, outcome) -> None:
    policy = Policy(attempts=10_000, backoff=3.0)
    base = wait(outcome, policy, 0.0, spent=spent, waits=waits)
    assert base <= wait(outcome, policy, chance, spent=spent, waits=waits) <= base * (1 + JITTER)
    assert 0 < base <= LONGEST_WAIT


@given(
    spent=st.integers(0, 5),
    attempts=st.integers(1, 4),
    lane=st.sampled_from(LANES),
    outcome=st.sampled_from([OK, LATER, GREY, NEVER, AWAY, LOST, UNSAID, NOBODY_KNOWS]),
)
def test_it_ends(spent, attempts, lane, outcome) -> None:
    """The same outcome again and again never makes more than `attempts` tries that count."""
    one, policy = recipient(spent, attempts=1), Policy(attempts=attempts, outage=0.0)
    for _ in range(10):
        decision = decide(one, lane, outcome, policy)
        one.spent += decision.spent if decision.tried else 0
        if decision.event not in ("defer", "wait"):
            break
    if outcome in (GREY, UNSAID):
        assert (decision.event, one.spent) == ("wait" if outcome is UNSAID else "defer", spent)
    else:
        assert decision.event in ("accept", "fail", "park")
        assert one.spent <= max(attempts, spent + 1)


def test_times_are_whole_microseconds() -> None:
    assert until(10, 1.5) == 1_500_010
    assert until(0, 0.0000014) == 1
