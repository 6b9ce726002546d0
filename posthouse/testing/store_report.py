"""Store contract: the word of workers who never claimed is written by lifecycle alone (Settlement without a fence)."""

from posthouse.mail.advance import Settlement
from posthouse.mail.lifecycle import Event
from posthouse.mail.outcome import Outcome
from posthouse.mail.retry import Decision
from posthouse.store.base import Query, Store
from posthouse.testing.store_mail import ACCEPTED, DEFERRED, LONG, draft, new_id, record, said, saved, settle


def foreign(id: str, event: Event, outcome: Outcome, attempt: int = 1, wait: float = 0.0) -> Settlement:
    """What a foreign worker tells of all recipients."""
    decision = Decision(event=event, outcome=outcome, wait=wait)
    return Settlement(id=id, fence=None, transport="theirs", decisions={}, everyone=decision, attempt=attempt)


class Reporting:
    """See StoreContract."""

    async def test_a_foreign_worker_s_word_is_written(self, store: Store) -> None:
        (message,) = await saved(store)
        settled = await settle(store, foreign(message.id, "accept", ACCEPTED))
        assert settled == await record(store, message.id)
        assert (settled.state, settled.attempts, settled.due_at, settled.fence) == ("sent", 1, None, 0)
        assert settled.history[-1].transport == "theirs"
        assert (await store.overview()).states["sent"] == 1
        assert await store.claim("worker", 1, LONG) == []

    async def test_doubled_it_changes_nothing(self, store: Store) -> None:
        (message,) = await saved(store)
        once = await settle(store, foreign(message.id, "defer", DEFERRED, wait=LONG))
        again = await settle(store, foreign(message.id, "defer", DEFERRED, wait=2 * LONG))
        assert (again.state, again.attempts, again.due_at) == ("deferred", 1, once.due_at)

    async def test_it_leaves_a_lease_alone(self, store: Store) -> None:
        await saved(store)
        (leased,) = await store.claim("worker", 1, LONG)
        told = await settle(store, foreign(leased.id, "accept", ACCEPTED))
        assert (told.state, told.owner) == ("sent", "worker")
        settled = await settle(store, said(leased, DEFERRED))
        assert (settled.state, settled.owner, settled.due_at) == ("sent", None, None)

    async def test_beside_one_with_a_fence(self, store: Store) -> None:
        await store.save([draft(), draft()])
        (leased,) = await store.claim("worker", 1, LONG)
        (free,) = [item.message for item in (await store.page(Query())).items if item.message.owner is None]
        both = [said(leased, ACCEPTED), foreign(free.id, "accept", ACCEPTED)]
        assert [message and message.state for message in await store.settle(both)] == ["sent", "sent"]

    async def test_of_mail_that_is_not_there(self, store: Store) -> None:
        assert await store.settle([foreign(new_id(), "accept", ACCEPTED)]) == [None]
