"""Catalog contract: the suppression list holds by lane and time, is never weakened, and every change is in the trail."""

import asyncio
from typing import Any

import pytest

from posthouse.mail.message import Lane
from posthouse.mail.suppression import Reach, Suppression
from posthouse.store.catalog import Catalog
from posthouse.testing.store_mail import microseconds

LATER = microseconds(3600)
MUCH_LATER = microseconds(7200)
ENDED = microseconds(-1)


def ann(**more: Any) -> Suppression:
    """An entry for Ann."""
    return Suppression(email="Ann@example.org", **more)


class Suppressing:
    """`suppress`, `unsuppress`, `suppressions`, `suppressed`, `suppressing`."""

    @pytest.mark.parametrize(
        ("reach", "lanes"),
        [("both", ["transactional", "bulk"]), ("bulk", ["bulk"]), ("transactional", ["transactional"])],
    )
    async def test_an_entry_holds_in_its_lanes(
        self, catalog: Catalog, reach: Reach, lanes: list[Lane]
    ) -> None:
        assert await catalog.suppressing() == []
        assert await catalog.suppress([ann(lane=reach, reason="complained", note="by post")], "Bob") == 1
        assert await catalog.suppressing() == lanes
        for lane in ("transactional", "bulk"):
            found = await catalog.suppressed(["x@example.org", "Ann@example.org"], lane)
            assert list(found) == (["Ann@example.org"] if lane in lanes else [])
        (entry,) = await catalog.suppressions(9)
        assert (entry.email, entry.lane, entry.reason, entry.note, entry.by, entry.expires_at) == (
            "Ann@example.org",
            reach,
            "complained",
            "by post",
            "Bob",
            None,
        )
        assert abs(entry.at - microseconds()) < 60_000_000

    async def test_addresses_are_compared_without_regard_to_case(self, catalog: Catalog) -> None:
        await catalog.suppress([ann()], "")
        found = await catalog.suppressed(["ANN@example.org", "ann@example.org", "anne@example.org"], "bulk")
        assert list(found) == ["ANN@example.org", "ann@example.org"]
        assert await catalog.suppress([Suppression(email="ann@example.org")], "") == 0
        assert await catalog.unsuppress(["aNN@example.org"], "") == 1

    async def test_what_has_ended_is_gone(self, catalog: Catalog) -> None:
        await catalog.suppress([ann(expires_at=ENDED)], "")
        assert await catalog.suppressed(["ann@example.org"], "bulk") == {}
        assert await catalog.suppressions(9) == []
        assert await catalog.unsuppress(["ann@example.org"], "") == 0
        assert await catalog.suppress([ann(expires_at=LATER, reason="bounced")], "") == 1
        assert (await catalog.suppressed(["ann@example.org"], "bulk"))["ann@example.org"].reason == "bounced"

    async def test_adding_never_weakens(self, catalog: Catalog) -> None:
        """Neither within a batch nor over time; what lasts longer takes the place of what does not."""
        batch = [ann(expires_at=LATER), ann(expires_at=MUCH_LATER, note="two"), ann(expires_at=LATER)]
        assert await catalog.suppress(batch, "first") == 1
        assert await catalog.suppress([ann(expires_at=LATER)], "second") == 0
        assert [(each.by, each.note) for each in await catalog.suppressions(9)] == [("first", "two")]
        assert await catalog.suppress([ann(reason="unsubscribed")], "third") == 1
        assert await catalog.suppress([ann()], "fourth") == 0
        (entry,) = await catalog.suppressions(9)
        assert (entry.by, entry.reason, entry.expires_at) == ("third", "unsubscribed", None)

    async def test_entries_are_listed_newest_first_in_pages(self, catalog: Catalog) -> None:
        emails = [f"{number}@example.org" for number in range(5)]
        for email in emails:
            await catalog.suppress([Suppression(email=email, reason="manual", expires_at=LATER)], "")
        await catalog.suppress([Suppression(email=emails[2], reason="bounced")], "")
        first = await catalog.suppressions(3)
        second = await catalog.suppressions(3, cursor=first[-1].id)
        assert [entry.email[0] for entry in (*first, *second)] == list("24310"), (
            "one that lasts longer is new"
        )
        assert [entry.email[0] for entry in await catalog.suppressions(9, reason="manual")] == list("4310")
        assert [entry.reason for entry in await catalog.suppressions(9, email="2@EXAMPLE.org")] == ["bounced"]
        assert await catalog.suppressions(9, email="2@example.org", reason="manual") == []

    async def test_removal_is_of_a_lane_or_of_all(self, catalog: Catalog) -> None:
        await catalog.suppress([ann(lane="bulk"), ann(lane="both"), Suppression(email="bob@example.org")], "")
        assert await catalog.unsuppress(["ann@example.org"], "", "transactional") == 0
        assert await catalog.unsuppress(["ann@example.org"], "", "bulk") == 1
        assert [each.lane for each in await catalog.suppressions(9, email="ann@example.org")] == ["both"]
        assert await catalog.unsuppress(["ann@example.org", "bob@example.org", "x@example.org"], "") == 2
        assert await catalog.suppressing() == []

    async def test_every_change_is_in_the_trail_and_nothing_else(self, catalog: Catalog) -> None:
        await catalog.suppress([ann(lane="bulk", note="rang", expires_at=LATER)], "Bob")
        await catalog.suppress([ann(lane="bulk", expires_at=LATER)], "Bob")
        await catalog.unsuppress(["ann@example.org"], "Cy")
        await catalog.unsuppress(["ann@example.org"], "Cy")
        acts = await catalog.acts(9, about="suppression:ann@example.org")
        assert [(each.act, each.by, each.detail) for each in acts] == [
            ("unsuppressed", "Cy", {"lane": "bulk", "reason": "manual"}),
            (
                "suppressed",
                "Bob",
                {"lane": "bulk", "reason": "manual", "note": "rang", "expires_at": LATER},
            ),
        ]

    async def test_two_batches_at_once_count_each_entry_once(self, catalog: Catalog) -> None:
        entries = [Suppression(email=f"{number}@example.org") for number in range(50)]
        batches = [entries, entries[::-1], entries[25:] + entries[:25]]
        assert sum(await asyncio.gather(*(catalog.suppress(each, "") for each in batches))) == 50
        emails = [entry.email for entry in entries]
        assert len(await catalog.suppressed(emails, "bulk")) == 50
        gone = await asyncio.gather(catalog.unsuppress(emails, ""), catalog.unsuppress(emails[::-1], ""))
        assert sum(gone) == 50
        assert len(await catalog.acts(200)) == 100
