"""Deployment 3 for its benchmarks: the records service and a worker, each a process, on a RabbitMQ and an Elasticsearch."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import CLEAN, KEY, House, folder, free_port, house, wait_until

LIMIT_SECONDS = 180.0
ASKED = 1000
"""Documents that one question reads."""


class Backends(NamedTuple):
    """Where Elasticsearch is (host and port), and POSTHOUSE_QUEUE."""

    elasticsearch: str
    queue: str


class Index(NamedTuple):
    """Where the documents are; they are read by their ids."""

    address: str

    def wait_until_sent(self, ids: Sequence[str], seconds: float = LIMIT_SECONDS) -> float:
        """When the last of these documents was SENT: seconds since 1970."""
        left = list(ids)

        def all_sent() -> bool:
            while left:
                some = left[:ASKED]
                states = {each["_id"]: each.get("_source", {}).get("status") for each in self._read(some)}
                open_ = [id for id in some if states[id] != "SENT"]
                left[:ASKED] = open_
                if open_:
                    return False
            return True

        wait_until(all_sent, f"documents such as {left[:1]} were not SENT", seconds)
        return time.time()

    def uncertain(self, ids: Sequence[str]) -> dict[str, int]:
        """How often nobody knew whether it was sent, of each document that there is."""
        found: dict[str, int] = {}
        for at in range(0, len(ids), ASKED):
            documents = self._read(ids[at : at + ASKED])
            found |= {each["_id"]: each["_source"]["uncertain"] for each in documents if each["found"]}
        return found

    def _read(self, ids: Sequence[str]) -> list[Any]:
        request = urllib.request.Request(
            f"{self.address}/_mget?_source_includes=status,uncertain",
            json.dumps({"ids": list(ids)}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["docs"]


class Place(NamedTuple):
    """The roles at work; `grpc` is the address of the records service."""

    records: House
    worker: House
    index: Index
    grpc: str
    queue: str

    def produce(self, manner: str, name: str, count: int) -> dict[str, Any]:
        """What benchmarks.producer said, once it has saved and published all."""
        line = producer(manner, f"{self.grpc}?key={KEY}", self.queue, name, count)
        done = subprocess.run(line, env=CLEAN, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)


def producer(manner: str, records: str, queue: str, name: str, count: int) -> list[str]:
    """The command that saves and publishes so many."""
    return [sys.executable, "-m", "benchmarks.producer", manner, records, queue, name, str(count)]


def given() -> Backends:
    """The servers that `make bench` starts."""
    found = [os.environ.get(f"POSTHOUSE_TEST_{name}") for name in ("ELASTICSEARCH", "RABBITMQ")]
    if None in found:
        raise SystemExit("`make bench` starts the servers and says where they are (POSTHOUSE_TEST_…)")
    return Backends(found[0] or "", f"{found[1]}posthouse-0")


@contextmanager
def opened(backends: Backends, port: int) -> Generator[Place]:
    """A fresh index and all queues empty; the worker sends to the SMTP server at `port`."""
    index = f"{backends.elasticsearch}/bench_{secrets.token_hex(4)}"
    grpc, store = f"127.0.0.1:{free_port()}", f"elasticsearch://{index}"
    with folder() as place, ExitStack() as stack:

        def start(role: str, transport: str, **settings: str) -> House:
            (place / role).mkdir()
            settings |= {"queue": backends.queue, "catalog": f"sqlite:///{place}/catalog.db"}
            return stack.enter_context(house(place / role, transport, command=role, **settings))

        _migrate(place, store)
        records = start("records", "inbox:", store=store, grpc_port=grpc.rpartition(":")[2])
        to = f"smtp://127.0.0.1:{port}?tls=none"
        worker = start("worker", to, store=f"grpc://{grpc}", report="events")
        yield Place(records, worker, Index(f"http://{index}"), f"grpc://{grpc}", backends.queue)


def _migrate(place: Path, store: str) -> None:
    environ = CLEAN | {"POSTHOUSE_STORE": store, "POSTHOUSE_CATALOG": f"sqlite:///{place}/catalog.db"}
    subprocess.run([sys.executable, "-m", "posthouse.cli", "migrate"], env=environ, check=True, cwd=place)
