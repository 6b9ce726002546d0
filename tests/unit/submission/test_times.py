"""Times as they are written, days as zones see them."""

from datetime import UTC, date, datetime

import pytest

from posthouse.mail.message import SECOND
from posthouse.submission.times import day_of, microseconds, read_zone, show_time

AT = 1_700_000_000 * SECOND + 5


def test_a_time_has_microseconds_and_a_z() -> None:
    assert show_time(AT) == "2023-11-14T22:13:20.000005Z"
    assert show_time(None) is None


def test_a_moment_is_exact() -> None:
    assert microseconds(datetime(2023, 11, 14, 22, 13, 20, 5, tzinfo=UTC)) == AT


def test_a_day_is_that_of_its_zone_and_as_long_as_it_is_there() -> None:
    berlin = read_zone("Europe/Berlin")
    assert berlin is not None
    day, since, until = day_of(AT, berlin)
    assert (day, show_time(since), show_time(until)) == (
        date(2023, 11, 14),
        "2023-11-13T23:00:00.000000Z",
        "2023-11-14T23:00:00.000000Z",
    )
    _, since, until = day_of(microseconds(datetime(2023, 10, 29, 12, tzinfo=UTC)), berlin)
    assert until - since == 25 * 3600 * SECOND


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "../UTC", "/etc/passwd", "America", "x" * 100, "UTC\x00", "é"]
)
def test_what_is_no_zone_is_none(name: str) -> None:
    assert read_zone(name) is None
