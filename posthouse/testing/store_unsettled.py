"""The store contract: what is left for a person is listed, and settled one or many, by name."""

from posthouse.mail.retry import Policy
from posthouse.mail.unsettled import UNSETTLED, Which
from posthouse.store.audit import audit
from posthouse.store.base import Query, Store
from posthouse.testing.store_mail import ACCEPTED, LONG, REFUSED, UNKNOWN, draft, record, said, settle

HOLD = Policy(backoff=0.0, on_unknown={"transactional": "hold", "bulk": "hold"})


async def left(store: Store) -> list[str]:
    """The ids of mail that is left, oldest first: of an unknown outcome, failed, in part failed, and one that was sent."""
    outcomes = {"a@x.example": [UNKNOWN], "b@y.example": [REFUSED], "c@x.example": [ACCEPTED, REFUSED]}
    await store.save(
        [draft("a@x.example"), draft("b@y.example"), draft("c@x.example", "d@x.example"), draft()]
    )
    claimed = sorted(await store.claim("worker", 4, LONG), key=lambda message: message.id)
    for message in claimed:
        given = outcomes.get(message.recipients[0].email, [ACCEPTED])
        await settle(store, said(message, *given, policy=HOLD))
    return [message.id for message in claimed]


async def listed(store: Store, **query: object) -> list[list[str]]:
    """The ids in each of the lists."""
    pages = [await store.page(Query(unsettled=state, **query)) for state in UNSETTLED]  # pyright: ignore[reportArgumentType]
    return [[item.message.id for item in page.items] for page in pages]


class Unsettling:
    """See StoreContract."""

    async def test_what_is_left_is_listed_by_what_became_of_any_recipient(self, store: Store) -> None:
        unknown, failed, partly, _ = await left(store)
        assert await listed(store) == [[unknown], [partly, failed]]
        page = await store.page(Query(unsettled="failed", limit=1))
        assert page.next_cursor == partly
        assert await listed(store, cursor=partly, recipient="b@y.example") == [[], [failed]]
        assert await listed(store, status="SENT") == [[], [partly]]

    async def test_a_person_sends_it_again(self, store: Store) -> None:
        unknown, failed, partly, sent = await left(store)
        which = Which(states=("failed",), domains=("x.example",))
        (again,) = await store.resolve([unknown, failed, partly, sent, "none"], "retry", which, "Ann", LONG)
        assert again == await record(store, partly)
        assert [each.state for each in again.recipients] == ["sent", "pending"]
        assert (again.history[-1].event, again.history[-1].text) == ("retry", "by Ann")
        assert await listed(store) == [[unknown], [failed]]
        assert await store.resolve([partly, sent], "retry", Which(), "Ann", LONG) == []
        assert len(await store.resolve([unknown, failed], "retry", Which(), "Ann", LONG)) == 2
        assert len(await store.claim("worker", 9, LONG)) == 3
        assert (await audit(store)).findings == []

    async def test_a_person_knows_that_it_arrived(self, store: Store) -> None:
        unknown, failed, _, _ = await left(store)
        (marked,) = await store.resolve([unknown, failed], "mark_sent", Which(), "Ann", LONG)
        assert marked == await record(store, unknown)
        assert (marked.status, marked.due_at, marked.history[-1].text) == ("SENT", None, "by Ann")
        assert marked.sent_at is not None
        assert (await listed(store))[0] == []
        assert (await audit(store)).findings == []
