"""What is counted: histograms that add up as Prometheus reads them, and numbers that are there before the first event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.metrics.families import FAMILIES
from posthouse.metrics.meters import Meters, Spread

BOUNDS = (0.1, 1.0, 10.0)


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (0.0, [1, 1, 1, 1]),
        (0.1, [1, 1, 1, 1]),
        (0.11, [0, 1, 1, 1]),
        (10.0, [0, 0, 1, 1]),
        (10.5, [0, 0, 0, 1]),
    ],
)
def test_a_bound_belongs_to_its_bucket(value: float, counts: list[int]) -> None:
    spread = Spread(BOUNDS)
    spread.add(value)
    assert spread.buckets == list(zip(["0.1", "1.0", "10.0", "+Inf"], counts, strict=True))


@given(st.lists(st.floats(0, 100)))
def test_each_bucket_holds_what_is_at_most_its_bound(values: list[float]) -> None:
    spread = Spread(BOUNDS)
    for value in values:
        spread.add(value)
    for bound, count in spread.buckets:
        assert count == sum(value <= float(bound) for value in values)
    assert spread.sum == pytest.approx(sum(values))


def test_a_counter_grows_by_its_labels() -> None:
    meters = Meters()
    meters.count("posthouse_accepted_recipients_total", "bulk", by=3)
    meters.count("posthouse_accepted_recipients_total", "bulk")
    assert meters.counts("posthouse_accepted_recipients_total") == {("transactional",): 0, ("bulk",): 4}


def test_a_name_that_is_not_in_the_table_is_a_bug() -> None:
    with pytest.raises(KeyError):
        Meters().count("posthouse_typing_error_total")


def test_what_has_no_labels_from_outside_begins_at_0() -> None:
    """Prometheus sees no increase from nothing to 1."""
    meters = Meters()
    for family in FAMILIES:
        if family.kind == "counter" and set(family.labels) <= {"lane", "call"}:
            values = meters.counts(family.name).values()
            assert values, family.name
            assert set(values) == {0}
