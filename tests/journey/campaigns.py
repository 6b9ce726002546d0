"""Campaigns on a real Posthouse (deployment 4): the people and the template, what is asked over HTTP, and what must hold
in every answer: the counts add up, and progress never falls.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx2
import msgspec

from posthouse.mail.contact import Entry, checked
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.store.catalog import Catalog
from posthouse.store.registry import open_store
from posthouse.testing.sink import SmtpSink
from tests.journey.house import House, until
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import API, call, placed, running

JOBS = "/api/emails/jobs"
COUNTS = ("pending", "sending", "deferred", "sent", "failed", "suppressed", "unknown", "canceled")
OVER = ("COMPLETED", "FAILED", "CANCELED")
POOL = 10
"""Connections of a process, by default."""
Job = dict[str, Any]

WELCOME = Source(
    subject="Hello {{ userName }}", html="<p>Dear {{ userName }}, you ride {{ horse }} from {{ town }}.</p>"
)


class Place(NamedTuple):
    """A deployment that runs: where it is asked, who sends, and where the mail arrives."""

    api: House
    workers: list[House]
    sink: SmtpSink

    def audit(self) -> dict[str, Any]:
        """What `posthouse audit` says, which must be that nothing is wrong."""
        done = call(self.api, "audit")
        assert done.returncode == 0, done.stdout + done.stderr
        return msgspec.json.decode(done.stdout)

    async def begin(self, **fields: Any) -> str:
        """Sends a campaign to all riders; answers its id."""
        request = {"templateId": "welcome", "roleFilter": "rider", "variables": {"town": "Ulm"}, **fields}
        given = {name: value for name, value in request.items() if value is not None}
        answer = await self.api.client.post("/api/emails/send-bulk", json=given)
        assert (answer.status_code, answer.json()["success"]) == (202, True), answer.text
        return answer.json()["jobId"]

    async def job(self, id: str) -> Job:
        """The campaign as it is now."""
        answer = await self.api.client.get(f"{JOBS}/{id}")
        assert answer.status_code == 200, answer.text
        return added_up(answer.json())

    async def act(self, id: str, act: str, **query: str) -> httpx2.Response:
        """Steers it."""
        return await self.api.client.post(f"{JOBS}/{id}/{act}", params=query)

    async def over(self, id: str, seconds: float = 60.0) -> Job:
        """The campaign once nothing of it is open and it knows. What was seen on the way there adds up, and once the
        audience is complete its size and what is done only stay or grow."""
        seen: list[Job] = []

        async def look() -> bool:
            seen.append(await self.job(id))
            whole = [job for job in seen if job["audienceComplete"]]
            assert len({job["totalCount"] for job in whole}) <= 1
            assert [job["progress"] for job in whole] == sorted(job["progress"] for job in whole)
            del seen[:-2]
            return seen[-1]["status"] in OVER and seen[-1]["completedAt"] is not None

        await until(look, seconds, lambda: f"{seen[-1]}\n{self.logs}")
        return seen[-1]

    async def recipients(self, id: str, **query: str) -> list[dict[str, Any]]:
        """All of them, page by page."""
        items: list[dict[str, Any]] = []
        while True:
            answer = await self.api.client.get(f"{JOBS}/{id}/recipients", params={"limit": "100", **query})
            assert answer.status_code == 200, answer.text
            items += answer.json()["items"]
            cursor = answer.json()["pagination"]["nextCursor"]
            if cursor is None:
                return items
            query["cursor"] = cursor

    @property
    def taken(self) -> Counter[str]:
        """How many mails each address got."""
        return Counter(address for mail in self.sink.mails for address in mail.recipients)

    @property
    def logs(self) -> str:
        """The ends of what the processes printed."""
        return "\n".join(house.log[-2000:] for house in (self.api, *self.workers))


def added_up(job: Job) -> Job:
    """A campaign whose counts are as they must be in every answer."""
    assert job["totalCount"] == sum(job[f"{name}Count"] for name in COUNTS), job
    assert 0 <= job["progress"] <= 100
    return job


def rider(number: int) -> str:
    return f"rider{number}@example.org"


def riders(count: int, role: str = "rider", start: int = 0) -> list[Entry]:
    return [
        checked(Entry(email=rider(n), name=f"Rider {n}", roles=(role,), attributes={"horse": f"Bayard-{n}"}))
        for n in range(start, start + count)
    ]


async def stock(store: str, people: Sequence[Entry]) -> None:
    """Puts the template and these contacts into the catalog."""
    opened = open_store(store, migrating=True)
    await opened.start()
    try:
        catalog = cast(Catalog, opened)
        await catalog.push_template("welcome", WELCOME, press(WELCOME), "ann")
        await catalog.write_contacts(people)
    finally:
        await opened.stop()


@asynccontextmanager
async def alone(
    folder: Path, sink: SmtpSink, people: Sequence[Entry], *, connections: int = POOL, **settings: str
) -> AsyncGenerator[Place]:
    """Everything in one process on SQLite."""
    house = House(folder, smtp(sink.port, connections=connections), **settings)
    await stock(house.environ["POSTHOUSE_STORE"], people)
    async with running(house):
        yield Place(house, [house], sink)


@asynccontextmanager
async def shared(
    folder: Path,
    store: str,
    sink: SmtpSink,
    people: Sequence[Entry],
    *,
    connections: int = POOL,
    **settings: str,
) -> AsyncGenerator[Place]:
    """An api and two workers, each as on a machine of its own."""
    transport = smtp(sink.port, connections=connections)
    api = placed(folder, "api", store, transport, *API, **settings)
    workers = [
        placed(folder, f"worker-{number}", store, transport, "worker", **settings) for number in range(2)
    ]
    await stock(store, people)
    async with running(api, *workers):
        yield Place(api, workers, sink)


async def seconds_to_smtp(place: Place, to: str) -> tuple[float, float]:
    """Sends a single mail; answers the seconds to the answer and to the SMTP server."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    await place.api.send(to)
    answered = loop.time()
    await until(lambda: to in place.taken, 10, lambda: place.logs)
    return answered - started, loop.time() - started
