"""The sliding window: how many pass, how long to wait, and what the headers say."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.errors import StoreAway
from posthouse.rate import Leased, Window, take
from posthouse.submission.ratelimit import Rate, RateLimiter, SharedLimiter, Taken


def test_the_quota_passes_and_no_more() -> None:
    limiter = RateLimiter(Rate(3, 60), lambda: 0.0)
    taken = [limiter.take("a") for _ in range(5)]
    assert [each.wait for each in taken] == [0, 0, 0, 80, 80]
    assert taken[0].headers == [
        (b"ratelimit-policy", b'"default";q=3;w=60'),
        (b"ratelimit", b'"default";r=2;t=60'),
    ]
    assert taken[4].headers[1] == (b"ratelimit", b'"default";r=0;t=80')
    assert limiter.take("b").wait == 0


def test_no_more_callers_are_counted_than_told_and_the_silent_are_forgotten_first() -> None:
    limiter = RateLimiter(Rate(1, 60), lambda: 0.0, most=2)
    assert [limiter.take(name).wait > 0 for name in "aab"] == [False, True, False]
    assert limiter.take("a").wait > 0
    assert limiter.take("c").wait == 0
    assert limiter.take("a").wait > 0
    assert limiter.take("b").wait == 0


@given(st.integers(1, 20), st.lists(st.floats(0, 90), max_size=120))
def test_whoever_waits_as_told_passes(quota: int, steps: list[float]) -> None:
    now = [0.0]
    limiter = RateLimiter(Rate(quota, 60), lambda: now[0])
    for step in steps:
        now[0] += step
        wait = limiter.take("a").wait
        if wait:
            now[0] += wait
            assert limiter.take("a").wait == 0


@given(st.integers(1, 20), st.lists(st.floats(0, 20), max_size=200))
def test_no_window_holds_twice_the_quota(quota: int, steps: list[float]) -> None:
    now = [0.0]
    limiter = RateLimiter(Rate(quota, 60), lambda: now[0])
    passed: list[float] = []
    for step in steps:
        now[0] += step
        if limiter.take("a").wait == 0:
            passed.append(now[0])
    for at in passed:
        assert len([each for each in passed if at <= each < at + 60]) < 2 * quota or quota == 1


class Bank:
    """What a store does for several processes, and how often it was asked."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self.rate, self.clock, self.asked = rate, clock, 0
        self.windows: dict[str, Window] = {}

    async def lease(self, name: str, wanted: int) -> Leased:
        self.asked += 1
        await asyncio.sleep(0)
        self.windows[name], leased = take(self.windows.get(name), self.rate, wanted, self.clock())
        return leased


async def ask(limiter: SharedLimiter, name: str = "a") -> Taken:
    taken = limiter.take(name)
    return taken if isinstance(taken, Taken) else await taken


async def test_processes_share_the_quota() -> None:
    now = [0.0]
    bank = Bank(Rate(100, 60), lambda: now[0])
    limiters = [SharedLimiter(bank.rate, bank.lease, bank.clock) for _ in range(3)]
    passed = 0
    for _ in range(60):
        for limiter in limiters:
            passed += (await ask(limiter)).wait == 0
    assert passed == 100
    refused = await ask(limiters[0])
    assert refused.headers[1] == (b"ratelimit", b'"default";r=0;t=%d' % refused.wait)
    now[0] += refused.wait
    assert (await ask(limiters[0])).wait == 0


async def test_a_busy_caller_asks_seldom_and_a_refused_one_not_again_and_again() -> None:
    now = [0.0]
    bank = Bank(Rate(10_000, 60), lambda: now[0])
    limiter = SharedLimiter(bank.rate, bank.lease, bank.clock)
    for _ in range(10_000):
        assert (await ask(limiter)).wait == 0
    assert bank.asked < 40
    asked = bank.asked
    assert all([(await ask(limiter)).wait for _ in range(1000)])
    assert bank.asked <= asked + 1


async def test_requests_that_come_together_share_one_question() -> None:
    bank = Bank(Rate(10, 60), lambda: 0.0)
    limiter = SharedLimiter(bank.rate, bank.lease, bank.clock)
    taken = await asyncio.gather(*(ask(limiter) for _ in range(30)))
    assert sum(each.wait == 0 for each in taken) == 10


async def test_a_slow_caller_loses_next_to_nothing_of_its_quota() -> None:
    now = [0.0]
    bank = Bank(Rate(60, 60), lambda: now[0])
    limiter = SharedLimiter(bank.rate, bank.lease, bank.clock)
    for _ in range(200):
        now[0] += 1.1
        assert (await ask(limiter)).wait == 0


async def test_without_the_store_nobody_passes_and_afterwards_it_goes_on() -> None:
    bank = Bank(Rate(10, 60), lambda: 0.0)

    async def away(name: str, wanted: int) -> Leased:
        raise StoreAway("gone")

    limiter = SharedLimiter(bank.rate, away, bank.clock)
    with pytest.raises(StoreAway):
        await ask(limiter)
    limiter._lease = bank.lease
    assert (await ask(limiter)).wait == 0
