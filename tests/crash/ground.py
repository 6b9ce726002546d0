"""The servers of each deployment, started once, and what a cell of it is made of: fresh tables, fresh roles."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import asyncpg

from posthouse.mail.contact import Entry, checked
from tests.cluster import Cluster, own_cluster
from tests.crash.cell import ALL, CLOCK, CUT, LOST, RANDOM, SMTP, STOP, Cell
from tests.crash.link import Link
from tests.crash.parts import Clock, Part, Redis, Role, Served
from tests.crash.place import ByCampaign, ByEvents, ByHttp, ByProducer, Load, Place, opened
from tests.journey.campaigns import stock
from tests.journey.diagram import Sink
from tests.journey.house import KEY, House, free_port
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import API
from tests.own_elasticsearch import Server, own_elasticsearch
from tests.rabbit_server import Broker, own_broker
from tests.redis_server import RedisServer

SLOW = 0.02
"""Seconds that the SMTP server takes for a mail."""
LEASE = "2s"


class Setting:
    """A cell in the making: its parts, those of them that are roles, and the link that is to be cut."""

    def __init__(
        self, folder: Path, cell: Cell, names: Sequence[str], sink: Sink, stack: AsyncExitStack
    ) -> None:
        self.folder, self.cell, self.names, self._stack = folder, cell, names, stack
        self.parts: dict[str, Part] = {SMTP: Served(sink)}
        self.links: dict[str, Link] = {}
        self.clock: Clock | None = None
        self._roles: list[Role] = []
        folder.mkdir()

    async def way(self, part: str, port: int) -> int:
        """The port by which that part is reached: its own, or where its link is to be cut that of the link."""
        if (self.cell.part, self.cell.how) != (part, CUT):
            return port
        link = self.links[part] = Link(port)
        await link.mend()
        self._stack.push_async_callback(link.cut)
        return link.port

    def role(self, name: str, *arguments: str, transport: str = "inbox:", **settings: str) -> House:
        """A process with a folder of its own, as on a machine of its own."""
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir()
        house = House(
            folder, transport, arguments, **{"lease": LEASE, "on_unknown": self.cell.policy, **settings}
        )
        role = self.parts[name] = Role(house)
        self._roles.append(role)
        self._stack.push_async_callback(house.close)
        if self.cell.part == CLOCK:
            self.clock = Clock(house)
        if name == self.cell.part and self.cell.moment != RANDOM:
            how = "stop" if self.cell.how == STOP else "kill"
            role.lay(self.cell.moment, self.cell.nth(len(self.names)), how)
        return house

    def workers(self, transport: str, **settings: str) -> None:
        """As many as there are to be; what befalls one befalls the first. They are on one machine and find each
        other's journals, unless the first one's machine is to be lost."""
        for number in range(1, 1 + self.cell.workers):
            machine = number if self.cell.how == LOST else 0
            settings["state_dir"] = str(self.folder / f"state-{machine}")
            self.role(f"worker {number}", "worker", transport=transport, **settings)

    async def start(self) -> None:
        """All roles; what others wait for comes first."""
        if isinstance(records := self.parts.get("records"), Role):
            await records.house.start()
        await asyncio.gather(*(role.house.start() for role in self._roles if role is not records))


class Ground:
    """The servers that all cells of a deployment share: here the SMTP server."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.folder, self.sink = folder, sink
        self._cells = 0

    @contextlib.asynccontextmanager
    async def place(self, cell: Cell, names: Sequence[str]) -> AsyncGenerator[Place]:
        """All of it running, for mail of these names."""
        self._cells += 1
        self.sink.mark()
        async with AsyncExitStack() as stack:
            setting = Setting(self.folder / f"cell-{self._cells}", cell, names, self.sink, stack)
            transport = smtp(await setting.way(SMTP, self.sink.port), connections=cell.connections)
            url, load = await self.set(setting, transport)
            store = await stack.enter_async_context(opened(url))
            await setting.start()
            yield Place(setting.parts, setting.links, self.sink, load, store, setting.clock)

    async def set(self, setting: Setting, transport: str) -> tuple[str, Load]:
        """Adds what the deployment has. The URL of the store as this process opens it, and how mail comes in."""
        raise NotImplementedError


class OneProcess(Ground):
    """Deployment 1: everything in one process, on SQLite."""

    async def set(self, setting: Setting, transport: str) -> tuple[str, Load]:
        house = setting.role(ALL, "serve", transport=transport)
        async with opened(house.environ["POSTHOUSE_STORE"], migrating=True):
            return house.environ["POSTHOUSE_STORE"], ByHttp(house)


class ManyProcesses(Ground):
    """Deployment 2: api and workers on PostgreSQL and Redis."""

    def __init__(self, folder: Path, sink: Sink, cluster: Cluster, redis: RedisServer) -> None:
        super().__init__(folder, sink)
        self._cluster, self._redis = cluster, redis

    async def set(self, setting: Setting, transport: str) -> tuple[str, Load]:
        setting.parts |= {"PostgreSQL": Served(self._cluster), "Redis": Redis(self._redis)}
        name = setting.folder.name.replace("-", "_")
        await self._cluster_does(f"CREATE DATABASE {name}")
        url = f"{self._cluster.url.rpartition('/')[0]}/{name}"
        async with opened(url, migrating=True):
            pass
        shared = {
            "store": url.replace(
                str(self._cluster.port), str(await setting.way("PostgreSQL", self._cluster.port))
            ),
            "queue": f"redis://127.0.0.1:{await setting.way('Redis', self._redis.port)}/0?queue={name}",
        }
        api = setting.role("api", *API, **shared)
        setting.workers(transport, **shared)
        return url, await self.load(api, url, setting)

    async def load(self, api: House, store: str, setting: Setting) -> Load:
        """How mail comes in."""
        return ByHttp(api)

    async def _cluster_does(self, statement: str) -> None:
        connection = await asyncpg.connect(self._cluster.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class Campaigns(ManyProcesses):
    """Deployment 4: the same with a campaign."""

    async def load(self, api: House, store: str, setting: Setting) -> Load:
        addresses = [f"{name}@example.org" for name in setting.names]
        people = [
            checked(Entry(email=each, roles=("rider",), attributes={"horse": "Bayard"})) for each in addresses
        ]
        await stock(store, people)
        return ByCampaign(api, addresses)


class Events(Ground):
    """Deployment 3: producers and workers around a records service, on Elasticsearch and RabbitMQ."""

    def __init__(self, folder: Path, sink: Sink, elasticsearch: Server, broker: Broker) -> None:
        super().__init__(folder, sink)
        self._elasticsearch, self._broker = elasticsearch, broker

    async def set(self, setting: Setting, transport: str) -> tuple[str, Load]:
        setting.parts |= {"Elasticsearch": Served(self._elasticsearch), "RabbitMQ": Served(self._broker)}
        port, grpc = self._elasticsearch.port, free_port()
        url = f"elasticsearch://127.0.0.1:{port}/{setting.folder.name}"
        async with opened(url, migrating=True):
            pass
        way = await setting.way("Elasticsearch", port)
        broker = self._broker.url()
        queue = broker.replace(str(self._broker.port), str(await setting.way("RabbitMQ", self._broker.port)))
        setting.role(
            "records", "records", store=url.replace(str(port), str(way)), queue=queue, grpc_port=str(grpc)
        )
        records = f"grpc://127.0.0.1:{await setting.way('records', grpc)}"
        setting.workers(transport, store=records, queue=queue, report="events")
        if setting.cell.part != "producer":
            return url, ByEvents(f"{records}?key={KEY}", queue)
        trapped = None if setting.cell.moment == RANDOM else setting.cell.nth(len(setting.names))
        load = setting.parts["producer"] = ByProducer(f"{records}?key={KEY}", queue, trapped)
        return url, load


@contextlib.asynccontextmanager
async def ground(deployment: int) -> AsyncGenerator[Ground]:
    """The servers of a deployment, running."""
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="posthouse-crash-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        sink = Sink(folder, SLOW)
        sink.start()
        stack.callback(sink.kill)
        yield await asyncio.to_thread(_GROUNDS[deployment], folder, sink, stack)


def _postgres_and_redis(
    kind: Callable[..., Ground], folder: Path, sink: Sink, stack: contextlib.ExitStack
) -> Ground:
    (folder / "redis").mkdir()
    redis = RedisServer(folder / "redis")
    asyncio.run(redis.start())
    stack.callback(redis.stop)
    return kind(folder, sink, stack.enter_context(own_cluster()), redis)


def _elasticsearch_and_rabbitmq(folder: Path, sink: Sink, stack: contextlib.ExitStack) -> Ground:
    return Events(folder, sink, stack.enter_context(own_elasticsearch()), stack.enter_context(own_broker()))


_GROUNDS: dict[int, Callable[[Path, Sink, contextlib.ExitStack], Ground]] = {
    1: lambda folder, sink, stack: OneProcess(folder, sink),
    2: partial(_postgres_and_redis, ManyProcesses),
    3: _elasticsearch_and_rabbitmq,
    4: partial(_postgres_and_redis, Campaigns),
}
