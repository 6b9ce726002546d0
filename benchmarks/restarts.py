"""Deployment 3 in death: while mails go through it each of its parts is killed by SIGKILL and started again, one after the other:
Elasticsearch, RabbitMQ, the records service, the worker, the mail server.

The figures are what was lost, doubled without a word of it and doubled, and how soon after the last start nothing was open.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benchmarks.events_place import Index, producer
from benchmarks.figure import Figure
from benchmarks.processes import CLEAN, folder
from benchmarks.producer import recipient
from tests.journey.diagram import Place, opened
from tests.journey.house import KEY
from tests.own_elasticsearch import Server, own_elasticsearch
from tests.rabbit_server import Broker, own_broker

Kill = Callable[[], Awaitable[object]]


def measure(mails: int) -> list[Figure]:
    """So many mails, and each part killed once."""
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        starting = threads.submit(stack.enter_context, own_broker())
        elasticsearch, broker = stack.enter_context(own_elasticsearch()), starting.result()
        place = stack.enter_context(folder())
        where = f"elasticsearch://{elasticsearch.address}/mail", broker.url()

        async def work() -> list[Figure]:
            async with opened(place, *where, 0.0) as parts:
                return await _restarted(parts, elasticsearch, broker, mails)

        return asyncio.run(work())


async def _restarted(place: Place, elasticsearch: Server, broker: Broker, mails: int) -> list[Figure]:
    await place.worker.start()
    ids = [f"mail-{number}" for number in range(mails)]
    line = producer("batches", f"grpc://{place.address}?key={KEY}", place.queue, "mail", mails)
    producing = await asyncio.create_subprocess_exec(*line, env=CLEAN, stdout=subprocess.PIPE)
    try:
        await _kill_each(place, elasticsearch, broker, mails // 7)
        back = time.time()
        said, _ = await producing.communicate()
    finally:
        if producing.returncode is None:
            producing.kill()
            await producing.wait()
    index = Index(place.store.replace("elasticsearch:", "http:"))
    ended = await asyncio.to_thread(index.wait_until_sent, ids)
    name = f"events: {mails:,} mails, each part killed"
    return [
        *_toll(name, place, index.uncertain(ids)),
        Figure(f"{name}: from the last start until all is SENT", ended - back, "s", less=True),
        Figure(f"{name}: with all that", mails / (ended - json.loads(said)["began"]), "mails/s"),
    ]


async def _kill_each(place: Place, elasticsearch: Server, broker: Broker, every: int) -> None:
    """Each of them once, with so many mails sent between two."""
    parts: Sequence[tuple[Kill, Kill]] = (
        (_on_thread(elasticsearch.kill), _on_thread(elasticsearch.start)),
        (_on_thread(broker.stop), _on_thread(broker.start)),
        (place.records.kill, place.records.start),
        (place.worker.kill, place.worker.start),
        (_on_thread(place.sink.kill), _on_thread(place.sink.start)),
    )
    for kill, start in parts:
        await place.sink.received(every)
        await kill()
        await start()


def _toll(name: str, place: Place, uncertain: dict[str, int]) -> list[Figure]:
    """Whom the mail server did not get, or more often than the record says that nobody knew of an attempt."""
    taken = place.sink.taken()
    lost = sum(taken[recipient(id)] == 0 for id in uncertain)
    silent = sum(taken[recipient(id)] > 1 + times for id, times in uncertain.items())
    doubled = sum(taken[recipient(id)] > 1 for id in uncertain)
    return [
        Figure(f"{name}: lost", lost, "mails", 1, less=True),
        Figure(f"{name}: doubled without a word", silent, "mails", 1, less=True),
        Figure(f"{name}: doubled", doubled, "mails", less=True),
    ]


def _on_thread(work: Callable[[], object]) -> Kill:
    return lambda: asyncio.to_thread(work)
