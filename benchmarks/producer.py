"""A producer of deployment 3 in a process of its own: `python -m benchmarks.producer MANNER RECORDS QUEUE NAME COUNT`.

MANNER is `batches` (EventClient: concurrent sends share a SaveEmails and an event), `single` (a SaveEmail for each mail, so
many at once, as a producer in another language would) or `paced` (RATE SaveEmails a second, whatever the answers take).
Each publishes what it saved, with confirms. At the end it prints what it saw as JSON, milliseconds of SaveEmail included.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
import uvloop

from benchmarks.mime import page
from benchmarks.request import SIZE
from posthouse.batch import Batcher
from posthouse.client.events import EmailDocument, EventClient
from posthouse.proto import records_pb2 as pb
from posthouse.proto.records_pb2_grpc import EmailRecordsStub
from posthouse.queue.base import Hint
from posthouse.queue.rabbitmq import RabbitQueue
from posthouse.store.remote.address import parse

PATIENCE = 120.0
"""Seconds that a server may be away."""
AT_ONCE = {"batches": 400, "single": 64}
RATE = 200.0
SUBJECT = "Fresh horses at every post house"
HTML = page(SIZE)

Send = Callable[[str], Awaitable[None]]


def recipient(id: str) -> str:
    """Each mail has its own, so that the mail server's log tells how often it came."""
    return f"{id}@example.org"


async def main(manner: str, records: str, queue: str, name: str, count: str) -> None:
    """See the module."""
    ids = [f"{name}-{number}" for number in range(int(count))]
    if manner == "batches":
        async with EventClient(records, queue, patience=PATIENCE) as client:
            await client.send(
                EmailDocument(event_id=f"{name}-first", recipient=recipient(name), subject=SUBJECT, html=HTML)
            )
            began = time.time()
            await _all(ids, AT_ONCE[manner], lambda id: _batched(client, id))
            print(json.dumps({"began": began}))
        return
    async with Single(records, queue) as single:
        await single.send(f"{name}-first")
        single.times.clear()
        began = time.time()
        if manner == "single":
            await _all(ids, AT_ONCE[manner], single.send)
        else:
            await _paced(ids, single.send)
        print(json.dumps({"began": began, "save_ms": sorted(single.times)}))


async def _batched(client: EventClient, id: str) -> None:
    await client.send(EmailDocument(event_id=id, recipient=recipient(id), subject=SUBJECT, html=HTML))


class Single:
    """A SaveEmail for each, then its event; events that are to go at the same time go as one."""

    def __init__(self, records: str, queue: str) -> None:
        address = parse(records)
        self._metadata = (("x-api-key", address.key),)
        self._channel = grpc.aio.insecure_channel(address.target)
        self._save = EmailRecordsStub(self._channel).SaveEmail
        self._queue = RabbitQueue(queue)
        self._events: Batcher[str, None] = Batcher(self._publish, most=100)
        self.times: list[float] = []

    async def __aenter__(self) -> "Single":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._events.drain()
        await self._queue.stop()
        await self._channel.close()

    async def send(self, id: str) -> None:
        """Both steps."""
        document = pb.EmailDocument(event_id=id, recipient=recipient(id), subject=SUBJECT, html=HTML)
        began = time.perf_counter()
        await self._save(document, metadata=self._metadata, timeout=30)
        self.times.append((time.perf_counter() - began) * 1000)
        await self._events.add(id)

    async def _publish(self, ids: list[str]) -> list[None]:
        await self._queue.publish([Hint("transactional", tuple(ids))])
        return [None] * len(ids)


async def _all(ids: list[str], at_once: int, send: Send) -> None:
    left = iter(ids)

    async def one_after_another() -> None:
        for id in left:
            await send(id)

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))


async def _paced(ids: list[str], send: Send) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    under_way: list[asyncio.Task[Any]] = []
    for number, id in enumerate(ids):
        await asyncio.sleep(began + number / RATE - loop.time())
        under_way.append(asyncio.ensure_future(send(id)))
    await asyncio.gather(*under_way)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
