"""A deployment that runs, as one cell has it: its parts and links by name, the mail that comes in, the record."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol, cast

import httpx2

from posthouse.client import Unreached
from posthouse.client.events import EmailDocument, EventClient
from posthouse.mail.errors import StoreAway
from posthouse.mail.lifecycle import OPEN
from posthouse.store.base import Store
from posthouse.store.catalog.campaigns import Campaigns
from posthouse.store.registry import open_store
from tests.crash.link import Link
from tests.crash.parts import Clock, Part
from tests.journey.diagram import Producer, Sink
from tests.journey.house import House, until

AT_ONCE = 16
"""Who hands in mail at once."""
AGAIN = 0.05
SLICE = 500


class Load(Protocol):
    """Mail that comes in. `accepted` grows: the address of each mail that its sender was told is accepted."""

    accepted: list[str]

    async def run(self, names: Sequence[str]) -> None:
        """Hands in a mail for each name; who is not answered asks again, under the same key."""
        ...

    async def over(self, store: Store) -> bool:
        """Whether there is nothing that it waits for, beside mail that is open. Raises StoreAway."""
        ...


class Place:
    """`parts` and `links` have the same names; `store` is opened apart from those that the parts use."""

    def __init__(
        self,
        parts: Mapping[str, Part],
        links: Mapping[str, Link],
        sink: Sink,
        load: Load,
        store: Store,
        clock: Clock | None,
    ) -> None:
        self.parts, self.links, self.sink, self.load, self.store = parts, links, sink, load, store
        self.clock = clock

    async def closed(self, seconds: float) -> None:
        """Returns when every mail is closed."""
        await until(self._closed, seconds, lambda: f"open after {seconds:.0f} s")

    async def ends(self) -> dict[str, list[tuple[str, int]]]:
        """By address: the state, and how many outcomes were unknown, of each record that there is."""
        found: dict[str, list[tuple[str, int]]] = {}
        async with self.store.snapshot() as snapshot:
            after: str | None = None
            while kept := await snapshot.walk(after, SLICE):
                after = kept[-1].message.id
                for each in (each for record in kept for each in record.message.recipients):
                    found.setdefault(each.email, []).append((each.state, each.uncertain))
        return found

    async def _closed(self) -> bool:
        with contextlib.suppress(StoreAway):
            states = (await self.store.overview()).states
            done = not any(states.get(state) for state in OPEN) and await self.load.over(self.store)
            if done and sum(states.values()) >= len(self.load.accepted):
                return True
        await asyncio.sleep(0.2)
        return False


class ByHttp:
    """Single mails, over HTTP."""

    def __init__(self, api: House) -> None:
        self._api, self.accepted = api, list[str]()

    async def run(self, names: Sequence[str]) -> None:
        left = list(names)

        async def one_after_another() -> None:
            while left:
                await self._send(left.pop())

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    async def over(self, store: Store) -> bool:
        return True

    async def _send(self, name: str) -> None:
        to = f"{name}@example.org"
        mail = {"to": to, "subject": "Horses", "body": "are changed here."}
        await accepted(self._api, "/email/send", mail, name)
        self.accepted.append(to)


async def accepted(api: House, path: str, request: object, key: str) -> None:
    """Asks until it is accepted. What is asked twice is done once, by its key."""
    status = 0
    while status != 202:
        try:
            answer = await api.client.post(path, json=request, headers={"Idempotency-Key": key})
        except httpx2.HTTPError:
            await asyncio.sleep(AGAIN)
            continue
        status = answer.status_code
        assert status in (202, 409, 503), answer.text


class ByEvents:
    """Documents over gRPC, with their events."""

    def __init__(self, records: str, queue: str) -> None:
        self._records, self._queue, self.accepted = records, queue, list[str]()

    async def run(self, names: Sequence[str]) -> None:
        left = list(names)
        async with EventClient(self._records, self._queue, patience=2.0) as client:

            async def one_after_another() -> None:
                while left:
                    await self._send(client, left.pop())

            await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    async def over(self, store: Store) -> bool:
        return True

    async def _send(self, client: EventClient, name: str) -> None:
        to = f"{name}@example.org"
        document = EmailDocument(event_id=name, recipient=to, subject="Horses", text="are changed here.")
        while True:
            with contextlib.suppress(Unreached):
                await client.send(document)
                self.accepted.append(to)
                return


class ByProducer:
    """The same from a process of its own, which is a part: when it has died, another one goes on behind what it said."""

    def __init__(self, records: str, queue: str, trapped: int | None) -> None:
        self._where = records, queue
        self._flags = () if trapped is None else ("--trap", str(trapped))
        self._count, self._ended = 0, asyncio.Event()
        self._producers: list[Producer] = []

    @property
    def accepted(self) -> list[str]:
        return list({f"{id}@example.org": 0 for each in self._producers for id in each.saved})

    async def run(self, names: Sequence[str]) -> None:
        self._name, self._count = names[0].rpartition("-")[0], len(names)
        self._producers.append(Producer(*self._where, self._name, "0", str(self._count), *self._flags))
        await self._ended.wait()

    async def over(self, store: Store) -> bool:
        return True

    async def sprung(self, how: str, seconds: float) -> None:
        await until(lambda: self._producers and self._producers[0].dead, seconds)

    async def kill(self) -> None:
        await self._producers[0].kill()

    async def start(self) -> None:
        """What is not known to be saved is handed in again."""
        self._heir = Producer(*self._where, self._name, "0", str(self._count))
        self._producers.append(self._heir)
        await self._heir.has_saved(self._count)
        await self._heir.stop()
        self._ended.set()


class ByCampaign:
    """One request, from which workers make a mail for each of the audience, all of whom are `people`."""

    def __init__(self, api: House, people: Sequence[str]) -> None:
        self._api, self._people, self.accepted = api, people, list[str]()

    async def run(self, names: Sequence[str]) -> None:
        request = {"templateId": "welcome", "roleFilter": "rider", "variables": {"town": "Ulm"}}
        await accepted(self._api, "/api/emails/send-bulk", request, names[0])
        self.accepted += self._people

    async def over(self, store: Store) -> bool:
        found = await cast(Campaigns, store).campaigns(10)
        return bool(found) and all(campaign.completed_at is not None for campaign, _ in found)


@contextlib.asynccontextmanager
async def opened(url: str, *, migrating: bool = False) -> AsyncGenerator[Store]:
    """The store of a cell, beside those that use it."""
    store = open_store(url, migrating=migrating)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()
