"""How a reply is read: reference/standards.md §4, line by line."""

import pytest

from posthouse.mail.outcome import (
    classify,
    is_greylisting,
    link_lost,
    not_begun,
    refused,
    transport_away,
    unknown,
)

REPLIES = [
    # code, enhanced, text, result, scope, category, spends
    (250, "2.0.0", "ok", "accepted", "message", "ok", "attempt"),
    (251, None, "will forward", "accepted", "message", "ok", "attempt"),
    (421, "4.7.0", "too many connections", "deferred", "sender", "policy", "attempt"),
    (421, None, "closing", "deferred", "domain", "network", "attempt"),
    (450, None, "busy", "deferred", "recipient", "other", "attempt"),
    (451, None, "error in processing", "deferred", "message", "other", "attempt"),
    (452, None, "no space", "deferred", "message", "rate", "attempt"),
    (452, "4.5.3", "too many recipients", "deferred", "message", "rate", "attempt"),
    (452, "4.2.2", "mailbox full", "deferred", "recipient", "mailbox_full", "attempt"),
    (451, "4.4.2", "bad connection", "deferred", "domain", "network", "attempt"),
    # hard: the address is at fault
    (550, "5.1.1", "no such user", "refused", "recipient", "address", "attempt"),
    (550, "5.1.2", "bad domain", "refused", "recipient", "address", "attempt"),
    (553, "5.1.3", "bad syntax", "refused", "recipient", "address", "attempt"),
    (551, "5.1.6", "moved", "refused", "recipient", "address", "attempt"),
    (556, "5.1.10", "null MX", "refused", "recipient", "address", "attempt"),
    (550, "5.2.1", "disabled", "refused", "recipient", "address", "attempt"),
    (550, None, "no such user", "refused", "recipient", "address", "attempt"),
    # our sender is at fault, although it is called an address
    (550, "5.1.7", "bad sender", "refused", "sender", "address", "attempt"),
    (550, "5.1.8", "bad sender domain", "refused", "sender", "address", "attempt"),
    # full, too large: this message only
    (552, "5.2.2", "mailbox full", "refused", "recipient", "mailbox_full", "attempt"),
    (552, "5.2.3", "too long", "refused", "message", "size", "attempt"),
    (552, "5.3.4", "too big", "refused", "message", "size", "attempt"),
    (552, None, "too big", "refused", "message", "size", "attempt"),
    # system, network
    (554, "5.3.0", "system", "refused", "domain", "other", "attempt"),
    (554, "5.4.6", "loop", "refused", "domain", "network", "attempt"),
    # our bug
    (501, "5.5.4", "syntax", "refused", "message", "protocol", "attempt"),
    (503, "5.5.1", "sequence", "refused", "message", "protocol", "attempt"),
    # content
    (554, "5.6.0", "bad content", "refused", "message", "content", "attempt"),
    # policy: the sender's fault, never the address's
    (550, "5.7.1", "spam", "refused", "sender", "policy", "attempt"),
    (550, "5.7.26", "unauthenticated", "refused", "sender", "policy", "attempt"),
    (550, "5.7.515", "access denied", "refused", "sender", "policy", "attempt"),
    (554, None, "rejected", "refused", "message", "policy", "attempt"),
    # greylisting
    (450, "4.2.0", "try again", "deferred", "domain", "greylist", "time"),
    (451, "4.7.1", "try again", "deferred", "domain", "greylist", "time"),
    (450, None, "Greylisted, see example.org", "deferred", "domain", "greylist", "time"),
    (451, "4.3.0", "grey-listing in action", "deferred", "domain", "greylist", "time"),
    (452, None, "Graylist: come back", "deferred", "domain", "greylist", "time"),
]


@pytest.mark.parametrize(("code", "enhanced", "text", "result", "scope", "category", "spends"), REPLIES)
def test_replies(code, enhanced, text, result, scope, category, spends) -> None:
    outcome = classify(code, enhanced, text)
    assert (outcome.result, outcome.scope, outcome.category, outcome.spends) == (
        result,
        scope,
        category,
        spends,
    )
    assert (outcome.code, outcome.enhanced_code, outcome.text) == (code, enhanced, text)


@pytest.mark.parametrize(
    ("code", "enhanced", "text"),
    [
        (421, "4.7.1", "greylisted"),
        (550, "5.7.1", "greylisted for ever"),
        (250, "2.0.0", "greylist passed"),
        (452, "4.7.1", "slow down"),
        (451, "4.7.10", "no"),
        (450, "5.7.1", "no"),
    ],
)
def test_what_is_not_greylisting(code: int, enhanced: str, text: str) -> None:
    assert not is_greylisting(code, enhanced, text)


def test_the_first_digit_of_the_reply_decides() -> None:
    assert classify(450, "5.1.1", "contradiction").result == "deferred"
    assert classify(550, "4.1.1", "contradiction").result == "refused"
    assert classify(250, "5.1.1", "contradiction").result == "accepted"


@pytest.mark.parametrize("code", range(400, 600))
def test_no_reply_to_a_policy_suppresses_an_address(code: int) -> None:
    digit = code // 100
    assert classify(code, f"{digit}.7.1", "").scope != "recipient"
    assert classify(code, None, "").result == ("deferred" if digit == 4 else "refused")


def test_outcomes_of_our_own() -> None:
    away = transport_away("refused")
    assert (away.result, away.scope, away.category, away.spends) == (
        "deferred",
        "transport",
        "network",
        "attempt",
    )
    for code in (530, 534, 535, 538, 454):
        assert transport_away("login", code).category == "login"
    lost = link_lost("reset")
    assert (lost.result, lost.scope, lost.spends) == ("deferred", "message", "attempt")
    assert not_begun("busy").spends == "nothing"
    assert (unknown("?").result, unknown("?").spends) == ("unknown", "attempt")
    assert (refused("no").result, refused("no").spends, refused("no").code) == ("refused", "attempt", None)
