"""The sliding window: how many pass, how long to wait, and what the headers say."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.submission.ratelimit import Rate, RateLimiter


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
