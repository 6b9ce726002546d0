"""The connection to Elasticsearch: calls of the store, each with its requests, given up together within PATIENCE.

A call may be made from any event loop: one that is not the store's gets a client of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from posthouse.mail.errors import StoreAway
from posthouse.store.elasticsearch.address import Address
from posthouse.store.elasticsearch.clock import Clock
from posthouse.store.elasticsearch.recent import Recent
from posthouse.store.elasticsearch.request import Away, open_client
from posthouse.store.elasticsearch.session import Refreshes, Session

PATIENCE = 4.5
"""Seconds after which a store that does not answer is away."""
HURRY = 2.0
"""The same beside a server that has been away for PATIENCE."""

P = ParamSpec("P")
T = TypeVar("T")


class Connections:
    """The connections of one process to the server at `address`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._away_since: float | None = None
        self._refreshes = Refreshes()
        self._clock = Clock()
        self._recent = Recent()

    async def start(self, check: Callable[[], Awaitable[None]]) -> None:
        """Connects and lets `check` look at the server, by calls. Raises StoreAway."""
        self._loop = asyncio.get_running_loop()
        self._client = open_client(self._address, PATIENCE)
        try:
            await check()
        except BaseException as error:
            await self.stop()
            if isinstance(error, StoreAway):
                why = str(error).removeprefix("Elasticsearch: ")
                raise StoreAway(f"Elasticsearch at {self._address.shown} cannot be used: {why}") from None
            raise

    async def stop(self) -> None:
        """Closes all; calls under way are over by then."""
        await self._client.close()

    async def call(
        self,
        job: Callable[Concatenate[Session, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """What `job` answers; all its requests together have PATIENCE. Raises StoreAway."""
        started = asyncio.get_running_loop().time()
        away_since = self._away_since
        ends = started + (PATIENCE if away_since is None or started - away_since < PATIENCE else HURRY)
        try:
            async with asyncio.timeout_at(ends), self._lent() as client:
                session = Session(
                    client, self._address.index, self._clock, self._refreshes, self._recent, ends
                )
                answer = await job(session, *args, **kwargs)
        except (TimeoutError, Away) as error:
            self._away_since = self._away_since or started
            why = str(error) or "no answer in time"
            raise StoreAway(f"Elasticsearch: {why}") from None
        self._away_since = None
        return answer

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Any]:
        if asyncio.get_running_loop() is self._loop:
            yield self._client
            return
        client = open_client(self._address, PATIENCE)
        try:
            yield client
        finally:
            await client.close()
