"""Catalog contract: contacts are kept, listed by role, and counted; two writers at once lose nothing."""

import asyncio
import random
from collections import Counter
from itertools import pairwise

from posthouse.mail.contact import Contact, Entry
from posthouse.store.catalog.contacts import COUNTED, Contacts, Headcount, RoleCount

ANN, BEN, CAT = "ann@example.org", "ben@example.org", "cat@example.org"


class KeepingContacts:
    """Contacts of a catalog."""

    async def test_a_contact_is_kept_whole(self, catalog: Contacts, other: Contacts) -> None:
        entry = Entry(
            email="Ann.Lee@example.org",
            name="Ann Lée",
            roles=("coach", "rider"),
            attributes={"city": "Köln", "horses": 3, "tags": ["a", {"b": 1.5}], "member": True},
            consent_when="2024-05-01",
            consent_how="the form at the gate",
        )
        assert await catalog.write_contacts([entry]) == ["created"]
        kept = await other.contact("ann.lee@EXAMPLE.org")
        assert kept is not None and kept.created_at == kept.updated_at > 0
        assert kept == _contact(entry, kept.created_at)
        assert await other.contact("ann@example.org") is None
        assert await catalog.write_contacts([entry]) == ["unchanged"]
        assert await other.contact("Ann.Lee@example.org") == kept

    async def test_what_an_entry_does_not_say_stays(self, catalog: Contacts) -> None:
        first = Entry(email=ANN, name="Ann", roles=("a", "b"), attributes={"x": 1, "y": 2}, consent_how="web")
        more = Entry(email="ANN@example.org", roles=("c",), attributes={"y": None, "z": 3})
        assert await catalog.write_contacts([first]) == ["created"]
        was = await catalog.contact(ANN)
        assert await catalog.write_contacts([more]) == ["updated"]
        now = await catalog.contact(ANN)
        assert was is not None and now is not None
        assert (now.email, now.name, now.roles) == ("ANN@example.org", "Ann", ("c",))
        assert (now.attributes, now.consent_how) == ({"x": 1, "z": 3}, "web")
        assert (now.created_at, now.updated_at > was.updated_at) == (was.created_at, True)
        assert await catalog.write_contacts([Entry(email=ANN, roles=("d",))], "add-roles") == ["updated"]
        assert (await _roles(catalog, ANN), await _counts(catalog)) == (("c", "d"), {"c": 1, "d": 1})
        assert await catalog.write_contacts([Entry(email=ANN)], "replace") == ["updated"]
        bare = await catalog.contact(ANN)
        assert bare is not None and (bare.name, bare.roles, bare.attributes) == ("", (), {})
        assert (bare.created_at, await _counts(catalog)) == (was.created_at, {})

    async def test_entries_take_effect_in_their_order(self, catalog: Contacts) -> None:
        entries = [
            Entry(email=ANN, name="One", roles=("a",)),
            Entry(email=ANN.upper(), name="Two", roles=("b",)),
            Entry(email=ANN, name="Two", roles=("b",)),
            Entry(email=ANN, name="Two", roles=("b",)),
        ]
        assert await catalog.write_contacts(entries) == ["created", "updated", "updated", "unchanged"]
        assert await _counts(catalog) == {"b": 1}

    async def test_a_dry_run_only_tells(self, catalog: Contacts) -> None:
        await catalog.write_contacts([Entry(email=ANN), Entry(email=BEN)])
        entries = [Entry(email=ANN), Entry(email=BEN, name="Ben"), Entry(email=CAT), Entry(email=CAT)]
        told = await catalog.write_contacts(entries, dry_run=True)
        assert told == ["unchanged", "updated", "created", "unchanged"]
        assert [each.email for each in await catalog.contacts(10)] == [ANN, BEN]
        assert (await catalog.contact_count()) == Headcount(2, 2)

    async def test_one_is_removed(self, catalog: Contacts, other: Contacts) -> None:
        await catalog.write_contacts([Entry(email=ANN, roles=("a",)), Entry(email=BEN, roles=("a", "b"))])
        assert await other.remove_contact(BEN.upper())
        assert not await other.remove_contact(BEN)
        assert await catalog.contact(BEN) is None
        assert [each.email for each in await catalog.contacts(9, roles=("a", "b"))] == [ANN]
        assert await _counts(catalog) == {"a": 1}
        assert await catalog.write_contacts([Entry(email=BEN)]) == ["created"]

    async def test_lists_go_by_address_in_slices(self, catalog: Contacts) -> None:
        """Whatever the slice: everybody in it once, in one order, of any of the roles."""
        entries = [
            Entry(email=f"{'Pq'[n % 2]}{n * 7 % 40:02}@example.org", roles=_dealt(n)) for n in range(40)
        ]
        await catalog.write_contacts(entries)
        for roles in (("*",), ("even",), ("even", "third"), ("third", "none"), ("even", "*"), ("none",)):
            wanted = {entry.email for entry in entries if "*" in roles or {*roles} & {*(entry.roles or ())}}
            for limit in (1, 7, 100):
                listed = await _walk(catalog, limit, roles)
                assert [each.lower() for each in listed] == sorted(each.lower() for each in wanted)
                assert set(listed) == wanted

    async def test_roles_are_listed_and_counted(self, catalog: Contacts) -> None:
        await catalog.write_contacts([Entry(email=f"p{n}@example.org", roles=_dealt(n)) for n in range(30)])
        assert await catalog.contact_roles(9) == [RoleCount("even", 15), RoleCount("third", 10)]
        assert await catalog.contact_roles(1, "even") == [RoleCount("third", 10)]
        assert await catalog.contact_count() == Headcount(30, 30)
        assert await catalog.contact_count(("even", "none", "even")) == Headcount(15, 15)
        assert await catalog.contact_count(("even", "third")) == Headcount(20, 20)
        assert await catalog.contact_count(("none",)) == Headcount(0, 0)

    async def test_many_people_of_several_roles_are_bounded_not_counted(self, catalog: Contacts) -> None:
        half = COUNTED // 2
        for start in range(0, half + 1, 1000):
            people = range(start, min(start + 1000, half + 1))
            await catalog.write_contacts([Entry(email=f"p{n}@example.org", roles=("a", "b")) for n in people])
        assert await catalog.contact_count(("a", "b")) == Headcount(half + 1, half + 1)
        await catalog.write_contacts([Entry(email=ANN), Entry(email=BEN), Entry(email=CAT, roles=("b",))])
        assert await catalog.contact_count(("a", "b")) == Headcount(half + 2, half + 4)

    async def test_counts_agree_with_the_contacts_whatever_happens(self, catalog: Contacts) -> None:
        dice = random.Random(7)
        for _ in range(60):
            entries = [_random_entry(dice) for _ in range(dice.randrange(1, 9))]
            await catalog.write_contacts(entries, dice.choice(("update", "add-roles", "replace")))
            if dice.random() < 0.3:
                await catalog.remove_contact(f"p{dice.randrange(12)}@example.org")
        kept = await catalog.contacts(100)
        assert await _counts(catalog) == Counter(role for each in kept for role in each.roles)
        assert await catalog.contact_count() == Headcount(len(kept), len(kept))
        for role in "abc":
            listed = await catalog.contacts(100, roles=(role,))
            assert listed == [each for each in kept if role in each.roles]

    async def test_two_who_write_the_same_people_at_once(self, catalog: Contacts, other: Contacts) -> None:
        """Neither loses what the other wrote, and nobody is counted twice."""
        emails = [f"p{n}@example.org" for n in range(50)]
        writes = [
            each.write_contacts(
                [Entry(email=email, roles=(f"{name}{turn}",)) for email in order], "add-roles"
            )
            for turn in range(4)
            for each, name, order in ((catalog, "one", emails), (other, "two", emails[::-1]))
        ]
        told = Counter(one for each in await asyncio.gather(*writes) for one in each)
        assert told == {"created": 50, "updated": 350}
        roles = tuple(sorted(f"{name}{turn}" for name in ("one", "two") for turn in range(4)))
        assert {each.roles for each in await catalog.contacts(100)} == {roles}
        assert await _counts(catalog) == dict.fromkeys(roles, 50)


def _contact(entry: Entry, at: int) -> Contact:
    return Contact(
        email=entry.email,
        name=entry.name or "",
        roles=entry.roles or (),
        attributes=entry.attributes or {},
        consent_when=entry.consent_when or "",
        consent_how=entry.consent_how or "",
        created_at=at,
        updated_at=at,
    )


def _dealt(n: int) -> tuple[str, ...]:
    return (*(("even",) if n % 2 == 0 else ()), *(("third",) if n % 3 == 0 else ()))


def _random_entry(dice: random.Random) -> Entry:
    roles = tuple(sorted(role for role in "abc" if dice.random() < 0.5)) if dice.random() < 0.8 else None
    return Entry(email=f"{dice.choice('pP')}{dice.randrange(12)}@example.org", roles=roles)


async def _roles(catalog: Contacts, email: str) -> tuple[str, ...]:
    found = await catalog.contact(email)
    assert found is not None
    return found.roles


async def _counts(catalog: Contacts) -> dict[str, int]:
    return {each.role: each.count for each in await catalog.contact_roles(100)}


async def _walk(catalog: Contacts, limit: int, roles: tuple[str, ...]) -> list[str]:
    listed: list[str] = []
    while page := await catalog.contacts(limit, listed[-1] if listed else None, roles):
        assert all(one.email.lower() < two.email.lower() for one, two in pairwise(page))
        listed += [each.email for each in page]
    return listed
