"""The store port on the wire: all of it, and what is asked arrives as it was asked."""

import inspect

import pytest

from posthouse.rate import Leased, Rate
from posthouse.store import wire
from posthouse.store.base import Query, Store
from posthouse.store.catalog import Catalog
from posthouse.store.snapshot import Snapshot
from posthouse.testing.store_mail import draft, key

CALLS = {**wire.store_calls(), **wire.snapshot_calls()}


@pytest.mark.parametrize("port", [Store, Catalog, Snapshot])
def test_every_call_of_a_port_is_there(port: type) -> None:
    names = {name for name, each in vars(port).items() if inspect.iscoroutinefunction(each)}
    assert names - {"start", "stop"} <= set(CALLS)


def test_methods_are_named_as_in_protobuf() -> None:
    assert (CALLS["lease_rate"].method, CALLS["save"].method) == ("LeaseRate", "Save")
    assert len({call.method for call in CALLS.values()}) == len(CALLS)


def test_arguments_arrive_by_name_with_their_defaults() -> None:
    claim = CALLS["claim"]
    asked = claim.read_arguments(claim.write_arguments("worker", 5, 2.0, ids=("a", "b"), alone=True))
    assert (asked.owner, asked.limit, asked.lease) == ("worker", 5, 2.0)
    assert (asked.lane, asked.ids, asked.overdue, asked.alone) == (None, ["a", "b"], 0.0, True)


def test_structs_of_the_port_arrive_whole() -> None:
    save, given = CALLS["save"], draft("ann@example.org", key=key("k"), tags=("a",))
    assert save.read_arguments(save.write_arguments([given])).drafts == [given]
    page, query = CALLS["page"], Query(limit=3, status="SENT")
    assert page.read_arguments(page.write_arguments(query)).query == query
    rate = CALLS["lease_rate"]
    assert rate.read_arguments(rate.write_arguments("n", 2, Rate(10, 60))).rate == Rate(10, 60)
    assert rate.read_result(wire.write(Leased(1, 2, 3.0))) == Leased(1, 2, 3.0)


def test_results_with_tuples_arrive() -> None:
    assert CALLS["beside"].read_result(wire.write([(("created", 900), 3)])) == [(("created", 900), 3)]


def test_what_a_newer_side_adds_is_passed_over() -> None:
    more = wire.write({"owner": "worker", "ids": ["a"], "lease": 1.0, "new": True})
    assert CALLS["renew"].read_arguments(more).ids == ["a"]
