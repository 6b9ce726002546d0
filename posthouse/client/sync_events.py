"""SyncEventClient: EventClient for programs without an event loop, on a thread that has one."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from posthouse.client.document import Document, EmailDocument, Saved
from posthouse.client.events import EventClient
from posthouse.client.mail import Error

T = TypeVar("T")


class SyncEventClient:
    """See EventClient. One client serves any number of threads, whose sends share calls and events as those of tasks do.
    A process that uses grpc.aio itself takes EventClient: grpc.aio is at home in one event loop only."""

    def __init__(self, records: str, queue: str, *, patience: float = 30.0) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="posthouse-client", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(_opened(records, queue, patience))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finishes what was asked for and lets go of the connections."""
        self._run(self._client.close())
        self._end()

    def send(self, document: EmailDocument) -> Saved:
        """See EventClient.send."""
        return self._run(self._client.send(document))

    def batch(self, documents: Iterable[EmailDocument]) -> list[Saved | Error]:
        """Sends many, each by itself: what became of each, in order."""
        return self._run(self._batch(documents))

    def get(self, event_id: str) -> Document:
        """See EventClient.get."""
        return self._run(self._client.get(event_id))

    def wait(self, event_id: str, seconds: float = 60.0) -> Document:
        """See EventClient.wait."""
        return self._run(self._client.wait(event_id, seconds))

    async def _batch(self, documents: Iterable[EmailDocument]) -> list[Saved | Error]:
        return list(await asyncio.gather(*(self._one(each) for each in documents)))

    async def _one(self, document: EmailDocument) -> Saved | Error:
        try:
            return await self._client.send(document)
        except Error as error:
            return error

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _opened(records: str, queue: str, patience: float) -> EventClient:
    """A client at home in the loop that runs this."""
    return EventClient(records, queue, patience=patience)
