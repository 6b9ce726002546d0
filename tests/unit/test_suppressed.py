"""The suppression list of a process: an empty one is never asked, another once for a batch; it follows what is added."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Lane
from posthouse.mail.suppression import Suppression
from posthouse.suppressed import Asked, SuppressionList


class Catalog:
    """A list with `entries`; `asked` are the questions about addresses, `looked` is set by each look."""

    def __init__(self, *entries: Suppression) -> None:
        self.entries = list(entries)
        self.asked: list[tuple[Lane, int]] = []
        self.looked = asyncio.Event()
        self.away = False

    async def suppressing(self) -> list[Lane]:
        self.looked.set()
        if self.away:
            raise StoreAway("it is away")
        return [each.lane for each in self.entries if each.lane != "both"]

    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]:
        self.asked.append((lane, len(emails)))
        return {each.email: each for each in self.entries if each.email in emails and each.lane == lane}


ANN = Suppression(email="ann@example.org", lane="bulk")
BATCH: list[Asked] = [
    ("bulk", "ann@example.org"),
    ("transactional", "ann@example.org"),
    ("bulk", "bob@example.org"),
]


@pytest.fixture
async def catalog() -> AsyncIterator[Catalog]:
    yield Catalog()


async def looked(catalog: Catalog, times: int = 2) -> None:
    """Returns after so many more looks; the last but one is over then."""
    for _ in range(times):
        catalog.looked.clear()
        await asyncio.wait_for(catalog.looked.wait(), 5)


async def test_a_batch_is_one_question_for_each_lane_that_has_entries(catalog: Catalog) -> None:
    catalog.entries = [ANN]
    known = SuppressionList(catalog)
    await known.look()
    assert (known.covers("bulk"), known.covers("transactional")) == (True, False)
    assert await known.find(BATCH) == {("bulk", "ann@example.org"): ANN}
    assert catalog.asked == [("bulk", 2)]


async def test_an_empty_list_is_asked_nothing(catalog: Catalog) -> None:
    known = SuppressionList(catalog)
    await known.look()
    assert await known.find(BATCH) == {}
    assert catalog.asked == []
    assert not SuppressionList().covers("bulk"), "nor is one without a catalog"


async def test_before_the_first_look_every_lane_is_asked(catalog: Catalog) -> None:
    await SuppressionList(catalog).find(BATCH)
    assert sorted(catalog.asked) == [("bulk", 2), ("transactional", 1)]


async def test_it_follows_what_is_added_and_taken_away(catalog: Catalog) -> None:
    known = SuppressionList(catalog, every=0.001)
    await known.start()
    try:
        catalog.entries = [ANN]
        await looked(catalog)
        assert known.covers("bulk")
        catalog.away = True
        await looked(catalog)
        assert known.covers("bulk"), "what was known last holds while the catalog is away"
        catalog.away, catalog.entries = False, []
        await looked(catalog)
        assert not known.covers("bulk")
    finally:
        await known.stop()
