"""The store contract, part six: a snapshot holds everything once, as it was, and the audit finds nothing wrong."""

from posthouse.store.audit import audit
from posthouse.store.base import Store
from posthouse.store.snapshot import Beside, Kept, Snapshot
from posthouse.testing.store_mail import (
    ACCEPTED,
    DEFERRED,
    LONG,
    REFUSED,
    UNKNOWN,
    draft,
    key,
    record,
    said,
    saved,
    settle,
)


async def walked(snapshot: Snapshot, limit: int = 3) -> list[Kept]:
    """Everything, by slices of `limit`."""
    kept: list[Kept] = []
    while part := await snapshot.walk(kept[-1].message.id if kept else None, limit):
        assert len(part) <= limit
        kept += part
    return kept


async def counters(snapshot: Snapshot) -> list[Beside]:
    """All of them, in slices of two."""
    found: list[Beside] = []
    while part := await snapshot.beside("counter", found[-1][0] if found else None, 2):
        found += part
    return found


class Auditing:
    """See StoreContract."""

    async def test_a_walk_goes_through_all_records_in_the_order_of_creation(self, store: Store) -> None:
        ids = [message.id for message in await saved(store, 10)]
        async with store.snapshot() as snapshot:
            assert [kept.message.id for kept in await walked(snapshot)] == ids
            assert [kept.message.id for kept in await walked(snapshot, 100)] == ids

    async def test_a_walk_through_nothing(self, store: Store) -> None:
        async with store.snapshot() as snapshot:
            assert await walked(snapshot) == []
            assert [await snapshot.beside(kind, None, 10) for kind in await snapshot.kinds()].count(
                []
            ) == len(await snapshot.kinds())
            assert await snapshot.campaigns(None, 10) == []
            assert await snapshot.strays(10) == []

    async def test_what_is_kept_beside_a_record_agrees_with_it(self, store: Store) -> None:
        await saved(store, 2, lane="bulk", campaign="spring")
        (leased,) = await store.claim("worker", 1, LONG, ids=[(await saved(store))[0].id])
        async with store.snapshot() as snapshot:
            kept = await walked(snapshot)
        assert kept[-1].message == await record(store, leased.id)
        for each in kept:
            assert each.content
            assert "due_at" in each.beside, "what says when mail is due is what an audit must see"
            assert each.beside == {name: getattr(each.message, name) for name in each.beside}

    async def test_a_snapshot_does_not_see_what_comes_later(self, store: Store) -> None:
        before = await saved(store, 2)
        async with store.snapshot() as snapshot:
            first = await snapshot.walk(None, 1)
            await saved(store, 2)
            (leased,) = await store.claim("worker", 1, LONG, ids=[before[1].id])
            await settle(store, said(leased, ACCEPTED))
            rest = await snapshot.walk(first[0].message.id, 10)
            assert [kept.message for kept in first + rest] == before
            created = [n for (name, *_), n in await counters(snapshot) if name == "created"]
            assert sum(created) == 2
        async with store.snapshot() as snapshot:
            assert len(await walked(snapshot)) == 4

    async def test_a_key_past_its_time_is_no_stray(self, store: Store) -> None:
        await store.save([draft(key=key("short", seconds=0.0)), draft(key=key("long"))])
        async with store.snapshot() as snapshot:
            assert await snapshot.strays(10) == []

    async def test_the_audit_of_a_store_in_order_finds_nothing(self, store: Store) -> None:
        assert (await audit(store)).records == 0
        for outcome in (ACCEPTED, DEFERRED, REFUSED, UNKNOWN):
            for lane in ("transactional", "bulk"):
                (message,) = await saved(store, lane=lane, tags=("a", "b"))
                (leased,) = await store.claim("worker", 1, LONG, ids=[message.id])
                again = await settle(store, said(leased, outcome))
                await store.retry(again.id, LONG)
        await saved(store, 3, scheduled_at=1 << 51)
        seen = await audit(store)
        assert (seen.records, seen.findings) == (11, [])
