"""A producer of deployment 3 as a process: `python -m tests.journey.producer RECORDS QUEUE NAME START END [--save-only | --trap N]`.

Both steps for each mail, a few at a time, or the first step only; each eventId (from NAME-START on) is said once it is saved. While the records service is away a mail is handed in again under its eventId. Ends sooner when its stdin does. With a trap it dies between its two steps, the Nth time.
"""

import asyncio
import sys
from collections.abc import Callable

import grpc.aio

from posthouse.client import Unreached
from posthouse.client.events import EmailDocument, EventClient
from posthouse.proto import records_pb2 as pb
from posthouse.proto.records_pb2_grpc import EmailRecordsStub
from posthouse.store.remote.address import parse
from tests.crash.trap import SAVED, Trap

AT_ONCE = 4
PAUSE = 0.05
"""Seconds between two mails of each of those who send at once."""


def mail(id: str) -> EmailDocument:
    """Each has a recipient of its own, so that the mail server's log tells how often it came."""
    return EmailDocument(
        event_id=id, recipient=f"{id}@example.org", subject=f"Horse {id}", text="is changed."
    )


async def produce(
    records: str, queue: str, ids: asyncio.Queue[str], ends: asyncio.Event, saved: Callable[[object], None]
) -> None:
    """Sends what is in `ids`, until there is nothing more."""
    async with EventClient(records, queue, patience=2.0, saved=saved) as client:

        async def one_after_another() -> None:
            while not ids.empty() and not ends.is_set():
                await send(client, ids.get_nowait())
                await asyncio.sleep(PAUSE)

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def send(client: EventClient, id: str) -> None:
    """Until it is saved."""
    while True:
        try:
            print((await client.send(mail(id))).event_id, flush=True)
            return
        except Unreached:
            continue


async def save(records: str, ids: asyncio.Queue[str], ends: asyncio.Event) -> None:
    """The first step of each, and never the second."""
    address = parse(records)
    async with grpc.aio.insecure_channel(address.target) as channel:
        stub = EmailRecordsStub(channel)
        while not ids.empty():
            asked = mail(ids.get_nowait())
            document = pb.EmailDocument(
                event_id=asked.event_id, recipient=asked.recipient, subject=asked.subject, text=asked.text
            )
            saved = await stub.SaveEmail(document, metadata=(("x-api-key", address.key),), timeout=10)
            print(saved.event_id, flush=True)
    await ends.wait()


async def main(records: str, queue: str, name: str, start: str, end: str, *flags: str) -> None:
    """See the module."""
    ids: asyncio.Queue[str] = asyncio.Queue()
    for number in range(int(start), int(end)):
        ids.put_nowait(f"{name}-{number}")
    ends = asyncio.Event()
    told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    told.add_done_callback(lambda _: ends.set())
    if "--save-only" in flags:
        await save(records, ids, ends)
    else:
        trap = Trap(SAVED, int(flags[1]) if flags else 0, "kill")
        await produce(records, queue, ids, ends, lambda ids: trap.passed(SAVED))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
