"""Contacts: what may stand in one, and what an entry makes of the one that is there."""

from typing import Any

import pytest

from posthouse.mail.address import folded
from posthouse.mail.contact import (
    MAX_ATTRIBUTES,
    MAX_ROLES,
    BadEntry,
    Contact,
    Entry,
    checked,
    written,
)

ANN = "ann@example.org"


def test_an_entry_is_brought_to_the_form_that_is_kept() -> None:
    given = Entry(email=" Ann@BÜCHER.example ", name="Ann", roles=("b", "a", "b"), attributes={"x": None})
    kept = checked(given)
    assert (kept.email, kept.roles) == ("Ann@xn--bcher-kva.example", ("a", "b"))
    assert (kept.name, kept.attributes) == ("Ann", {"x": None})
    assert checked(Entry(email=ANN)) == Entry(email=ANN)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"email": "ann"}, "email"),
        ({"email": ""}, "email"),
        ({"name": "A" * 257}, "name"),
        ({"name": "A\x00nn"}, "name"),
        ({"roles": ("*",)}, "roles"),
        ({"roles": ("",)}, "roles"),
        ({"roles": ("a;b",)}, "roles"),
        ({"roles": ("a,b",)}, "roles"),
        ({"roles": (" a",)}, "roles"),
        ({"roles": ("a" * 65,)}, "roles"),
        ({"roles": ("a\n",)}, "roles"),
        ({"roles": tuple(map(str, range(MAX_ROLES + 1)))}, "roles"),
        ({"attributes": {"": 1}}, "attributes"),
        ({"attributes": {"a\n": 1}}, "attributes"),
        ({"attributes": {"userName": "x"}}, "attributes"),
        ({"attributes": {"a": "x" * MAX_ATTRIBUTES}}, "attributes"),
        ({"attributes": {"a": ["\0"]}}, "attributes"),
        ({"consent_when": "\n"}, "consent_when"),
        ({"consent_how": "x" * 501}, "consent_how"),
    ],
)
def test_what_cannot_be_taken_is_named(said: dict[str, Any], field: str) -> None:
    with pytest.raises(BadEntry) as caught:
        checked(Entry(**{"email": ANN, **said}))
    assert [flaw.field for flaw in caught.value.flaws] == [field]


def test_every_flaw_is_told() -> None:
    with pytest.raises(BadEntry, match=r"email: .*; name: .*; roles: .*") as caught:
        checked(Entry(email="no", name="\t", roles=("", ";")))
    assert len(caught.value.flaws) == 3


def test_what_is_not_said_stays() -> None:
    was = Contact(
        email=ANN, name="Ann", roles=("a",), attributes={"x": 1, "y": 2}, created_at=1, updated_at=1
    )
    now = written(Entry(email=ANN, attributes={"x": None, "z": 3}), was, "update", 5)
    assert (now.name, now.roles, now.attributes) == ("Ann", ("a",), {"y": 2, "z": 3})
    assert (now.created_at, now.updated_at) == (1, 5)


def test_what_changes_nothing_is_the_same_contact() -> None:
    was = Contact(email=ANN, name="Ann", roles=("a",), attributes={"x": 1}, created_at=1, updated_at=1)
    said = Entry(email=ANN, name="Ann", roles=("a",), attributes={"x": 1, "gone": None})
    for entry in (Entry(email=ANN), said):
        assert written(entry, was, "update", 5) is was
        assert written(entry, was, "add-roles", 5) is was
    assert written(said, was, "replace", 5) is was
    assert written(Entry(email=ANN), was, "replace", 5) == Contact(email=ANN, created_at=1, updated_at=5)


def test_roles_are_replaced_or_added() -> None:
    was = Contact(email=ANN, roles=("b", "c"), created_at=1, updated_at=1)
    entry = Entry(email=ANN, roles=("a", "b"))
    assert written(entry, was, "update", 5).roles == ("a", "b")
    assert written(entry, was, "add-roles", 5).roles == ("a", "b", "c")
    assert written(Entry(email=ANN, roles=()), was, "update", 5).roles == ()
    assert written(Entry(email=ANN, roles=()), was, "add-roles", 5) is was


def test_the_same_address_in_another_case_is_the_same_contact() -> None:
    assert folded("Ann@example.org") == folded(ANN)
    was = Contact(email=ANN, created_at=1, updated_at=1)
    assert written(Entry(email="Ann@example.org"), was, "update", 5).email == "Ann@example.org"
