"""A worker that sends campaigns, with all it needs: a real SQLite store, a scriptable SMTP server, templates by hand."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from posthouse.delivery.audience import People, draft_maker
from posthouse.delivery.campaigns import Bulk
from posthouse.delivery.hands import WorkerOptions
from posthouse.delivery.worker import Worker
from posthouse.mail.campaign import Campaign, Counts, Person
from posthouse.mail.lifecycle import State
from posthouse.mail.message import Mailbox
from posthouse.mail.press import press
from posthouse.mail.retry import Policy
from posthouse.mail.template import Made, Source
from posthouse.queue.store import StoreQueue
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.sink import Rule, SmtpSink
from posthouse.testing.store_mail import new_id
from posthouse.transport.smtp import open_smtp
from tests.journey.house import until

HELLO = Source(subject="To {{ name }}", html="<p>Dear {{ userName }}, you ride {{ horse }}.</p>")
OFFICE = Mailbox("office@house.example")


class Office:
    """The store and the templates; `worker` gives workers that share them."""

    def __init__(self, store: SqliteStore, sink: SmtpSink, folder: Path) -> None:
        self.store, self.sink, self._folder = store, sink, folder
        self.make = draft_maker(new_id, "house.example", OFFICE)
        self.templates: dict[tuple[str, int], Made] = {("hello", 1): press(HELLO)}
        self._workers = 0

    async def find(self, id: str, version: int) -> Made | None:
        return self.templates.get((id, version))

    async def add(self, *people: Person, **fields: Any) -> str:
        """A new campaign; answers its id."""
        campaign = Campaign(**{"id": new_id(), "template": "hello", "version": 1, **fields})
        return (await self.store.add_campaign(campaign, people, "ann")).id

    async def get(self, id: str) -> tuple[Campaign, Counts]:
        found = await self.store.campaign(id)
        assert found is not None
        return found

    async def states(self, id: str) -> dict[State, int]:
        return {state: n for state, n in (await self.get(id))[1].states.items() if n}

    async def completed(self, *ids: str) -> None:
        """Returns when all of them are."""

        async def over() -> bool:
            return all([(await self.get(id))[0].completed_at is not None for id in ids])

        await until(over, 60)

    async def still(self, id: str) -> None:
        """Returns when nothing of it is in the air."""

        async def nothing() -> bool:
            return "sending" not in await self.states(id)

        await until(nothing, 10)

    @asynccontextmanager
    async def worker(
        self, connections: int = 3, jobs: int = 5, people: People | None = None, **policy: Any
    ) -> AsyncIterator[Worker]:
        self._workers += 1
        name = f"worker-{self._workers}"
        smtp = open_smtp(
            f"smtp://127.0.0.1:{self.sink.port}?tls=none&connections={connections}", "me.example"
        )
        made = Worker(
            self.store,
            StoreQueue(self.store.next_due),
            [smtp],
            Policy(**{"backoff": 0.05, **policy}),
            WorkerOptions(owner=name, state_dir=self._folder / name),
            bulk=Bulk(self.store, self.make, self.find, jobs, people),
        )
        await made.start()
        try:
            yield made
        finally:
            await made.stop()


@asynccontextmanager
async def opened(folder: Path, *rules: Rule) -> AsyncIterator[Office]:
    store = SqliteStore(folder / "posthouse.db")
    await store.start()
    try:
        async with SmtpSink(list(rules)) as sink:
            yield Office(store, sink, folder)
    finally:
        await store.stop()


def riders(count: int, start: int = 0) -> list[Person]:
    return [
        Person(f"rider{n}@example.org", f"Rider {n}", ("rider",), {"horse": f"Bayard-{n}"})
        for n in range(start, start + count)
    ]


def addresses(people: Sequence[Person]) -> list[str]:
    return sorted(person.email for person in people)
