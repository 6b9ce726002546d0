"""Store contract: a rate that holds across processes is leased in slices."""

import asyncio

from posthouse.rate import Rate
from posthouse.store.base import Store
from posthouse.testing.store_mail import new_id

SLOW = Rate(10, 3600)
"""Nothing of it comes back while a test runs."""


class Leasing:
    """`lease_rate` of a store."""

    async def test_no_more_is_granted_than_the_quota(self, store: Store) -> None:
        name = new_id()
        granted = [await store.lease_rate(name, 4, SLOW) for _ in range(4)]
        assert [(each.granted, each.left) for each in granted] == [(4, 6), (4, 2), (2, 0), (0, 0)]
        assert 3600 - 60 < granted[0].wait <= 3600
        assert granted[3].wait > 0

    async def test_each_name_has_its_own(self, store: Store) -> None:
        one, two = new_id(), new_id()
        assert (await store.lease_rate(one, 10, SLOW)).granted == 10
        assert (await store.lease_rate(two, 10, SLOW)).granted == 10
        assert (await store.lease_rate(one, 1, SLOW)).granted == 0

    async def test_those_who_ask_together_get_the_quota_together(self, store: Store) -> None:
        name = new_id()
        granted = await asyncio.gather(*(store.lease_rate(name, 1, SLOW) for _ in range(30)))
        assert sum(each.granted for each in granted) == 10

    async def test_what_has_left_the_sight_is_granted_again(self, store: Store) -> None:
        name, quick = new_id(), Rate(5, 1)
        assert (await store.lease_rate(name, 5, quick)).granted == 5
        refused = await store.lease_rate(name, 1, quick)
        assert refused.granted == 0
        await asyncio.sleep(refused.wait)
        assert (await store.lease_rate(name, 1, quick)).granted == 1
