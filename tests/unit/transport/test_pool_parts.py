"""What the pool is made of: its lanes, its pace, the share of bulk."""

import pytest

from posthouse.transport.base import bulk_share
from posthouse.transport.smtp.lanes import Lanes


class Letter:
    sender, recipients, data = "a@x", ("b@x",), b""

    def __init__(self, name, lane) -> None:
        self.id, self.lane = name, lane

    def begin(self, replies) -> bool:
        return True

    def done(self, outcomes) -> None:
        pass


@pytest.fixture
def lanes() -> Lanes:
    lanes = Lanes()
    lanes.add(
        [
            Letter("b1", "bulk"),
            Letter("t1", "transactional"),
            Letter("b2", "bulk"),
            Letter("t2", "transactional"),
        ]
    )
    return lanes


def test_transactional_goes_first_and_each_lane_in_order(lanes):
    order = []
    while lane := lanes.next(bulk=True):
        order.append(lanes.take(lane).envelope.id)
    assert order == ["t1", "t2", "b1", "b2"]


def test_bulk_waits_when_it_may_not_go(lanes):
    lanes.take("transactional")
    lanes.take("transactional")
    assert lanes.next(bulk=False) is None
    assert lanes.count("bulk") == 2


def test_what_comes_back_is_first_again(lanes):
    first = lanes.take("bulk")
    lanes.put_back(first)
    assert lanes.take("bulk") is first


def test_nothing_goes_behind_bulk_while_transactional_waits(lanes):
    assert lanes.behind("transactional")
    assert not lanes.behind("bulk")
    lanes.take("transactional")
    lanes.take("transactional")
    assert lanes.behind("bulk")
    assert not lanes.behind("transactional")


def test_clear_gives_everything(lanes):
    assert [transaction.envelope.id for transaction in lanes.clear()] == ["t1", "t2", "b1", "b2"]
    assert lanes.next(bulk=True) is None


@pytest.mark.parametrize(("connections", "bulk"), [(1, 1), (2, 1), (3, 2), (5, 4), (9, 8), (10, 8), (20, 16)])
def test_a_fifth_is_kept(connections, bulk):
    assert bulk_share(connections) == bulk
