"""The store contract, part five: after any walk of operations the counters are what the records say.

A walk is a list of steps made by Hypothesis; each names an operation and carries numbers that it may use.
"""

from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.mail.audit import faults
from posthouse.mail.message import LANES, Message
from posthouse.mail.outcome import Outcome
from posthouse.mail.retry import Policy
from posthouse.store.audit import audit
from posthouse.store.base import Query, Store
from posthouse.testing.store_mail import (
    ACCEPTED,
    DEFERRED,
    LONG,
    NOT_BEGUN,
    REFUSED,
    UNKNOWN,
    draft,
    everything,
    key,
    said,
)

OUTCOMES: tuple[Outcome, ...] = (ACCEPTED, DEFERRED, REFUSED, UNKNOWN, NOT_BEGUN)
OPERATIONS = ("save", "claim", "settle", "settle", "release", "renew", "lapsed", "expired", "alone", "retry")

Step = tuple[str, int, int, int]
"""An operation and three numbers from 0 to 9."""

number = st.integers(0, 9)
walks = st.lists(st.tuples(st.sampled_from(OPERATIONS), number, number, number), min_size=1, max_size=30)


class Walking:
    """See StoreContract."""

    @given(walk=walks)
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    async def test_the_counts_always_add_up(self, store: Store, walk: list[Step]) -> None:
        """The store is not fresh for each walk: what earlier ones left behind must go on adding up."""
        walker = Walker(store)
        for step in walk:
            await walker.take(step)
        await walker.check()


class Walker:
    """Takes steps on a store and remembers the leases it was given, good and stale."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._leases: list[Message] = []
        self._known: dict[str, Message] = {}

    async def take(self, step: Step) -> None:
        """One operation."""
        name, *numbers = step
        await getattr(self, f"_{name}")(*numbers)

    async def check(self) -> None:
        """What must be true after any walk."""
        records = await everything(self._store)
        overview = await self._store.overview()
        states = Counter(message.state for message in records)
        assert {state: n for state, n in overview.states.items() if n} == dict(states)
        totals = await self._store.totals(0, 1 << 60)
        assert totals.created == len(records)
        assert totals.sent == sum(message.sent_at is not None for message in records)
        assert totals.failed == sum(message.failed_at is not None for message in records)
        assert (await self._store.page(Query(page=1, limit=1))).total == len(records)
        assert (await audit(self._store)).findings == []

    async def _save(self, count: int, recipients: int, kind: int) -> None:
        names = [f"r{each}@walk.example" for each in range(recipients % 3 + 1)]
        drafts = [
            draft(
                *names,
                lane=LANES[kind % 2],
                key=key(f"k{kind}") if kind > 7 else None,
                expire=0.0 if kind == 5 else LONG,
            )
            for _ in range(count)
        ]
        await self._store.save(drafts)

    async def _claim(self, limit: int, lane: int, lapse: int) -> None:
        wanted = (None, *LANES)[lane % 3]
        await self._lease(await self._store.claim("walker", limit, 0.0 if lapse > 6 else LONG, lane=wanted))

    async def _lapsed(self, limit: int, _: int, lapse: int) -> None:
        await self._lease(await self._store.lapsed("walker", limit, 0.0 if lapse > 6 else LONG))

    async def _expired(self, limit: int, *_: int) -> None:
        await self._lease(await self._store.expired("walker", limit, LONG))

    async def _alone(self, *_: int) -> None:
        await self._lease(await self._store.claim("walker", 1, LONG, alone=True))

    async def _settle(self, first: int, choice: int, lost: int) -> None:
        chosen = self._leases[first : first + 4]
        outcomes = [OUTCOMES[(choice + each) % len(OUTCOMES)] for each in range(3)]
        policy = Policy(backoff=0.0, attempts=2, outage=0.0)
        batch = [said(message, *outcomes, lost=lost > 5, policy=policy) for message in chosen]
        for settled in await self._store.settle(batch):
            self._see(settled)

    async def _release(self, first: int, *_: int) -> None:
        chosen = self._leases[first : first + 3]
        await self._store.release([(message.id, message.fence) for message in chosen], 0.0)

    async def _renew(self, first: int, *_: int) -> None:
        await self._store.renew("walker", [message.id for message in self._leases[first : first + 3]], LONG)

    async def _retry(self, place: int, *_: int) -> None:
        items = (await self._store.page(Query(status="FAILED", limit=10))).items
        for item in items[place : place + 1]:
            self._see(await self._store.retry(item.message.id, LONG))

    async def _lease(self, messages: Sequence[Message]) -> None:
        for message in messages:
            before = self._known.get(message.id)
            assert before is None or message.fence > before.fence, "a fence only grows"
            self._see(message)
        self._leases = [*messages, *self._leases][:12]

    def _see(self, message: Message | None) -> None:
        if message is None:
            return
        check_record(message)
        before = self._known.get(message.id)
        assert before is None or message.version >= before.version, "a version only grows"
        self._known[message.id] = message


def check_record(message: Message) -> None:
    """A record that could be, its history in order; nothing of ours happens to a recipient once it is sent."""
    assert faults(message) == [], message
    times = [entry.at for entry in message.history]
    assert times == sorted(times), message
    for recipient in message.recipients:
        told = [entry.event for entry in message.history if entry.recipient == recipient.email]
        assert "sent" not in told[:-1], message
