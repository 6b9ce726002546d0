"""What /metrics says: true while mail moves through a real store, and said even when store and queue are away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from posthouse.delivery.breaker import Breaker
from posthouse.delivery.worker import Load
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import SECOND, Lane
from posthouse.mail.retry import held_back
from posthouse.metrics.meters import Meters
from posthouse.metrics.scrape import Scrape
from posthouse.metrics.watch import watch_store
from posthouse.queue.base import QueueAway
from posthouse.queue.store import StoreQueue
from posthouse.store.base import Draft, Overview, Saved, Store
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import (
    ACCEPTED,
    DEFERRED,
    LONG,
    NOT_BEGUN,
    REFUSED,
    UNKNOWN,
    draft,
    key,
    microseconds,
    said,
    saved,
)
from tests.unit.delivery.parts import Hop
from tests.unit.metrics.reading import Metrics


class Moody(SqliteStore):
    """A SQLite store that can be told to be away, and counts how often it was looked at."""

    away = False
    looks = 0

    async def overview(self) -> Overview:
        self.looks += 1
        if self.away:
            raise StoreAway("as if the disk were gone")
        return await super().overview()

    async def save(self, drafts: Sequence[Draft]) -> list[Saved]:
        if self.away:
            raise StoreAway("as if the disk were gone")
        return await super().save(drafts)


class Depth(StoreQueue):
    """A queue of a known depth, or one that is away."""

    away = False

    async def depth(self) -> dict[Lane, int]:
        if self.away:
            raise QueueAway
        return {"transactional": 7, "bulk": 0}


class House:
    """A watched store, a queue, and /metrics over them. `load` is what the worker holds."""

    def __init__(self, record: Moody) -> None:
        self.meters = Meters()
        self.record, self.queue = record, Depth(record.next_due)
        self.store: Store = watch_store(record, self.meters)

    def scrape(self, load: Callable[[], Load] | None = None) -> Scrape:
        """A new /metrics, which has not looked yet."""
        registry = CollectorRegistry()
        return Scrape(registry, self.meters, self.store, self.queue, microseconds, load)

    async def metrics(self) -> Metrics:
        """What it says now."""
        return Metrics((await self.scrape()()).decode())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    record = Moody(tmp_path / "posthouse.db")
    await record.start()
    yield House(record)
    await record.stop()


async def test_what_is_saved_counts_once(house: House) -> None:
    await house.store.save([draft("a@x.example", "b@x.example"), draft(key=key("k")), draft(key=key("k"))])
    await house.store.save([draft(key=key("k")), draft(lane="bulk")])
    seen = await house.metrics()
    assert seen("posthouse_accepted_messages_total", lane="transactional") == 2
    assert seen("posthouse_accepted_messages_total", lane="bulk") == 1
    assert seen("posthouse_accepted_recipients_total", lane="transactional") == 3
    assert seen("posthouse_store_batch_messages_sum", call="save") == 5
    assert seen("posthouse_store_batch_duration_seconds_count", call="save") == 2
    assert seen("posthouse_messages", state="pending") == 3


async def test_what_waits_and_since_when_by_lane(house: House) -> None:
    await saved(house.store, 3)
    await saved(house.store, 2, scheduled_at=microseconds(LONG))
    (since, *_) = await saved(house.store, 2, lane="bulk")
    seen = await house.metrics()
    assert seen("posthouse_waiting_messages", lane="transactional") == 3
    assert seen("posthouse_waiting_messages", lane="bulk") == 2
    most = (microseconds() - since.created_at) / 1e6
    assert 0 < seen("posthouse_waiting_age_seconds", lane="bulk") <= most
    await house.store.claim("worker", 10, LONG)
    seen = await house.metrics()
    assert seen("posthouse_waiting_messages") == seen("posthouse_waiting_age_seconds") == 0
    assert seen("posthouse_messages", state="sending") == 5


async def test_time_waiting_is_that_before_the_first_claim(house: House) -> None:
    await saved(house.store, 2)
    for _ in range(2):
        messages = await house.store.claim("worker", 10, LONG)
        await house.store.release([(message.id, message.fence) for message in messages], 0.0)
    seen = await house.metrics()
    assert seen("posthouse_claimed_messages_total", lane="transactional") == 4
    assert seen("posthouse_wait_duration_seconds_count", lane="transactional") == 2
    assert 0 < seen("posthouse_wait_duration_seconds_sum") < LONG


async def test_scheduled_mail_waits_from_its_time(house: House) -> None:
    at = microseconds(0.05)
    await saved(house.store, 1, scheduled_at=at)
    await asyncio.sleep(0.06)  # a scheduled time is a time
    (message,) = await house.store.claim("worker", 1, LONG)
    assert message.due_at is not None
    waited = (message.due_at - at) / SECOND - LONG
    seen = await house.metrics()
    assert seen("posthouse_wait_duration_seconds_sum", lane="transactional") == pytest.approx(waited)


@pytest.mark.parametrize(
    ("outcome", "result", "category", "state"),
    [
        (ACCEPTED, "accepted", "ok", "sent"),
        (DEFERRED, "deferred", "other", "deferred"),
        (REFUSED, "refused", "address", "failed"),
        (UNKNOWN, "unknown", "lost", "deferred"),
    ],
)
async def test_outcomes_by_class_and_what_they_led_to(
    house: House, outcome, result: str, category: str, state: str
) -> None:
    await saved(house.store, 1)
    (message,) = await house.store.claim("worker", 1, LONG)
    await house.store.settle([said(message, outcome)])
    seen = await house.metrics()
    assert seen("posthouse_outcomes_total") == seen("posthouse_settled_recipients_total") == 1
    labels = {"lane": "transactional", "transport": "test:", "result": result, "category": category}
    assert seen("posthouse_outcomes_total", **labels) == 1
    assert seen("posthouse_settled_recipients_total", lane="transactional", state=state) == 1


async def test_what_was_handed_back_is_no_outcome(house: House) -> None:
    await saved(house.store, 1, lane="bulk")
    (message,) = await house.store.claim("worker", 1, LONG)
    await house.store.settle([said(message, NOT_BEGUN)])
    seen = await house.metrics()
    assert seen("posthouse_handed_back_recipients_total", lane="bulk") == 1
    assert seen("posthouse_outcomes_total") == seen("posthouse_settled_recipients_total") == 0


async def test_what_was_held_back_is_settled_without_an_outcome(house: House) -> None:
    await saved(house.store, 1, lane="bulk")
    (message,) = await house.store.claim("worker", 1, LONG)
    decisions = {each.email: held_back("unsubscribed") for each in message.recipients}
    await house.store.settle([Settlement(id=message.id, fence=message.fence, decisions=decisions)])
    seen = await house.metrics()
    assert seen("posthouse_settled_recipients_total", lane="bulk", state="suppressed") == 1
    assert seen("posthouse_outcomes_total") == 0


async def test_a_lost_worker_and_a_stale_settlement(house: House) -> None:
    await saved(house.store, 1)
    (message,) = await house.store.claim("worker", 1, LONG)
    settlement = said(message, UNKNOWN, lost=True)
    await house.store.settle([settlement])
    await house.store.settle([settlement])
    seen = await house.metrics()
    assert seen("posthouse_lost_messages_total", lane="transactional") == 1
    assert seen("posthouse_stale_settlements_total") == 1


async def test_everything_else_is_told_while_store_and_queue_are_away(house: House) -> None:
    await saved(house.store, 2)
    house.record.away = house.queue.away = True
    with pytest.raises(StoreAway):
        await house.store.save([draft()])
    seen = await house.metrics()
    assert (seen("posthouse_store_up"), seen("posthouse_queue_up")) == (0, 0)
    assert seen("posthouse_store_failures_total", call="save") == 1
    assert seen("posthouse_accepted_messages_total") == 2
    assert not seen.names & {"posthouse_messages", "posthouse_waiting_messages", "posthouse_queue_hints"}
    house.record.away = house.queue.away = False
    seen = await house.metrics()
    assert (seen("posthouse_store_up"), seen("posthouse_queue_up")) == (1, 1)
    assert seen("posthouse_queue_hints", lane="transactional") == 7


async def test_many_scrapes_are_one_look_at_the_store(house: House) -> None:
    scrape = house.scrape()
    texts = await asyncio.gather(*(scrape() for _ in range(20)))
    assert all(texts)
    assert house.record.looks == 1


async def test_the_rest_of_the_store_is_the_store_itself(house: House) -> None:
    (message,) = await saved(house.store, 1)
    assert house.store.identity == house.record.identity
    found = await house.store.get(message.id)
    assert found is not None and found[0].id == message.id


async def test_the_worker_and_its_transports(house: House) -> None:
    """Two hops of one name, as of one relay with two users, are told as one: a series must not come twice."""
    first, second = Hop(), Hop()
    breakers = [Breaker(hop, 900.0, lambda what, why: None) for hop in (first, second)]
    breakers[1].openings = 2
    breakers[1].closed.clear()
    scrape = house.scrape(lambda: Load(held=5, unsettled=3, breakers=breakers))
    seen = Metrics((await scrape()).decode())
    assert (seen("posthouse_held_messages"), seen("posthouse_journal_unsettled_messages")) == (5, 3)
    assert seen("posthouse_transport_connections", transport="hop:") == 4
    assert seen("posthouse_transport_connections_limit", transport="hop:") == 8
    assert seen("posthouse_transport_waiting_messages", transport="hop:", lane="transactional") == 2
    assert seen("posthouse_breaker_open", transport="hop:") == 1
    assert seen("posthouse_breaker_openings_total", transport="hop:") == 2
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in seen.samples]
    assert len(series) == len(set(series))
