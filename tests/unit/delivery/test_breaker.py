"""The breaker: three failures of the transport in a row open it, a probe closes it, and no mail is used to find out."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from posthouse.delivery.breaker import FAILURES, PROBE_FIRST, Breaker
from posthouse.mail.outcome import classify, link_lost, not_begun, transport_away, unknown
from tests.unit.delivery.parts import Hop, eventually

AWAY = transport_away("connection refused")


class Watched:
    """A breaker, its hop, and what it told."""

    def __init__(self, outage: float = 900.0) -> None:
        self.hop = Hop()
        self.told: list[tuple[str, str]] = []
        self.breaker = Breaker(self.hop, outage, lambda what, why: self.told.append((what, why)))


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    await made.breaker.stop()


async def test_three_in_a_row_open_it(watched: Watched) -> None:
    watched.hop.there = False
    for _ in range(FAILURES - 1):
        watched.breaker.note(AWAY)
        assert watched.breaker.closed.is_set()
    watched.breaker.note(AWAY)
    assert not watched.breaker.closed.is_set()
    assert watched.told == [("transport away", "connection refused")]
    assert watched.hop.recalls == 1
    watched.breaker.note(AWAY)
    assert (len(watched.told), watched.hop.recalls) == (1, 1)


@pytest.mark.parametrize(
    "word", [classify(250, None, "ok"), classify(550, None, "no"), link_lost("reset"), unknown("no reply")]
)
async def test_any_word_about_a_mail_starts_the_count_again(watched: Watched, word) -> None:
    for outcome in (AWAY, AWAY, word, AWAY, AWAY):
        watched.breaker.note(outcome)
    assert watched.breaker.closed.is_set()
    watched.breaker.note(word)
    assert watched.breaker.away == 0.0


async def test_what_was_not_begun_says_nothing(watched: Watched) -> None:
    for outcome in (AWAY, AWAY, not_begun("busy")):
        watched.breaker.note(outcome)
    assert watched.breaker.away > 0
    watched.breaker.note(AWAY)
    assert not watched.breaker.closed.is_set()


async def test_a_server_that_hangs_up_before_every_mail_opens_it(watched: Watched) -> None:
    for _ in range(FAILURES):
        assert watched.breaker.closed.is_set()
        watched.breaker.note(not_begun("the link was lost", "network"))
    assert not watched.breaker.closed.is_set()


async def test_away_runs_from_the_first_failure(watched: Watched) -> None:
    assert watched.breaker.away == 0.0
    watched.breaker.note(AWAY)
    first = watched.breaker.away
    watched.breaker.note(AWAY)
    assert 0 <= first <= watched.breaker.away


async def test_a_probe_closes_it(watched: Watched) -> None:
    watched.hop.there = False
    for _ in range(FAILURES):
        watched.breaker.note(AWAY)
    await eventually(lambda: watched.hop.probes >= 1)
    assert not watched.breaker.closed.is_set()
    watched.hop.there = True
    await eventually(watched.breaker.closed.is_set)
    assert watched.told[-1] == ("transport back", "")
    assert watched.breaker.away == 0.0


async def test_it_opens_again(watched: Watched) -> None:
    for turn in (1, 2):
        for _ in range(FAILURES):
            watched.breaker.note(AWAY)
        assert not watched.breaker.closed.is_set()
        await eventually(watched.breaker.closed.is_set)
        assert (watched.hop.recalls, watched.breaker.openings) == (turn, turn)


async def test_a_hop_that_greets_and_turns_mail_away_is_asked_ever_more_rarely(watched: Watched) -> None:
    """Until it takes a mail, or says a word about one."""
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    for turn in range(4):
        if turn == 3:
            watched.breaker.note(classify(250, None, "ok"))
        since = loop.time()
        for _ in range(FAILURES):
            watched.breaker.note(AWAY)
        await eventually(watched.breaker.closed.is_set)
        waits.append(loop.time() - since)
    first, second, third, after_a_word = waits
    assert second >= 2 * PROBE_FIRST <= third / 2
    assert first >= PROBE_FIRST <= after_a_word < 8 * PROBE_FIRST


async def test_a_probe_that_stumbles_does_not_leave_it_open_for_ever(watched: Watched) -> None:
    watched.hop.stumbles = [ZeroDivisionError("a bug")]
    for _ in range(FAILURES):
        watched.breaker.note(AWAY)
    await eventually(watched.breaker.closed.is_set)
    assert any("ZeroDivisionError" in why for _, why in watched.told)


async def test_without_an_outage_it_only_counts() -> None:
    watched = Watched(outage=0.0)
    for _ in range(10):
        watched.breaker.note(AWAY)
    assert watched.breaker.closed.is_set()
    assert watched.hop.recalls == 0
    await watched.breaker.stop()
