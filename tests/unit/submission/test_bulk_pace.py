"""How fast a campaign goes, told from what was seen of it."""

from posthouse.mail.campaign import Campaign, Counts
from posthouse.submission.bulk.pace import MOST, SPAN, Pace


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def looks(pace: Pace, clock: Clock, campaign: Campaign, seen: list[tuple[float, int]]) -> list[float | None]:
    """What it says at each time when so many of 1,000 were closed."""
    said: list[float | None] = []
    for at, closed in seen:
        clock.now = 100.0 + at
        said.append(pace.of(campaign, Counts(states={"pending": 1000 - closed, "sent": closed})))
    return said


def campaign(id: str = "one") -> Campaign:
    return Campaign(id=id, template="news", version=1)


def test_nothing_is_known_at_the_first_look_and_much_at_the_second() -> None:
    clock = Clock()
    assert looks(Pace(clock), clock, campaign(), [(0, 0), (2, 100), (4, 300)]) == [None, 50.0, 75.0]


def test_only_the_last_seconds_count() -> None:
    clock = Clock()
    seen = [(0.0, 0), (1.0, 500), (SPAN + 1, 500), (SPAN + 2, 500)]
    assert looks(Pace(clock), clock, campaign(), seen)[-1] == 0.0


def test_a_retry_makes_no_negative_pace() -> None:
    clock = Clock()
    assert looks(Pace(clock), clock, campaign(), [(0, 900), (1, 100)]) == [None, 0.0]


def test_what_was_not_looked_at_for_long_is_forgotten() -> None:
    clock = Clock()
    pace = Pace(clock)
    looks(pace, clock, campaign(), [(0, 0)])
    for n in range(MOST):
        looks(pace, clock, campaign(f"other {n}"), [(1, 0)])
    assert looks(pace, clock, campaign(), [(2, 100)]) == [None]
