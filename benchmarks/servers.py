"""What deployment 2 shares: a schema of a benchmark's own on the PostgreSQL, and a queue on the Redis, that `make bench`
starts; and the processes of Posthouse on them."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg

from benchmarks.processes import House, folder, house


class Servers(NamedTuple):
    """POSTHOUSE_STORE and POSTHOUSE_QUEUE."""

    store: str
    queue: str


class Shared(NamedTuple):
    """An api process and its workers, and the POSTHOUSE_STORE of all of them."""

    api: House
    workers: list[House]
    store: str

    @property
    def processes(self) -> list[House]:
        """All of them."""
        return [self.api, *self.workers]


@contextmanager
def servers() -> Generator[Servers]:
    """Fresh ones; the schema is dropped at the end."""
    postgres, redis = (_address(f"POSTHOUSE_TEST_{name}") for name in ("POSTGRES", "REDIS"))
    name = f"bench_{secrets.token_hex(4)}"
    tell(postgres, f"CREATE SCHEMA {name}")
    try:
        yield Servers(f"{postgres}?search_path={name}", f"{redis}?queue={name}")
    finally:
        tell(postgres, f"DROP SCHEMA {name} CASCADE")


@contextmanager
def shared(transport: str, workers: int = 1) -> Generator[Shared]:
    """One api process and so many workers on fresh servers, each with a folder of its own, all started."""
    with folder() as place, servers() as places, contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> House:
            (place / name).mkdir()
            return stack.enter_context(process(place / name, places, transport, *arguments))

        api = start("api", "--roles", "api", "--migrate")
        yield Shared(
            api, [start(f"worker-{each}", "--roles", "worker") for each in range(workers)], places.store
        )


def process(
    place: Path, places: Servers, transport: str, *arguments: str
) -> contextlib.AbstractContextManager[House]:
    """One process on these servers."""
    return house(place, transport, *arguments, store=places.store, queue=places.queue)


def tell(store: str, statement: str) -> None:
    """Has the PostgreSQL do it."""
    ask(store, statement)


def ask(store: str, question: str) -> object:
    """The first value that the PostgreSQL answers."""

    async def work() -> object:
        connection = await asyncpg.connect(store)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(work())


def server_process(store: str) -> int:
    """The process id of the PostgreSQL, which is on this machine and lets us read its files."""
    return int(str(ask(store, "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)")))


def _address(variable: str) -> str:
    address = os.environ.get(variable)
    if address is None:
        raise SystemExit(f"{variable} is not set: `make bench` starts the servers and sets it")
    return address
