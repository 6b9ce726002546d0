"""The store behind a records role keeps the contracts; and what is only true of a store over a network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.store.remote import RemoteStore
from posthouse.testing.catalog import CatalogContract
from posthouse.testing.store import StoreContract
from posthouse.testing.store_mail import ACCEPTED, LONG, draft, said
from posthouse.testing.store_save import Reopen
from tests.contract.records import records
from tests.journey.house import free_port


class House:
    """A records role and a store that speaks with it; both can be started anew on the same file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = AsyncExitStack()

    async def open(self) -> RemoteStore:
        running = await self.stack.enter_async_context(records(self.folder))
        return await self.join(running.url)

    async def join(self, url: str) -> RemoteStore:
        self.url = url
        store = RemoteStore(url)
        await store.start()
        self.stack.push_async_callback(store.stop)
        return store


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.stack.aclose()


class TestRemoteStore(StoreContract):
    @pytest.fixture
    async def store(self, house: House) -> RemoteStore:
        return await house.open()

    @pytest.fixture
    def reopen(self, house: House) -> Reopen:
        async def again() -> RemoteStore:
            await house.stack.aclose()
            return await house.open()

        return again


class TestRemoteCatalog(CatalogContract):
    @pytest.fixture
    async def catalog(self, house: House) -> RemoteStore:
        return await house.open()

    @pytest.fixture
    async def other(self, house: House, catalog: RemoteStore) -> RemoteStore:
        return await house.join(house.url)


async def test_a_restart_is_only_felt_as_a_wait(tmp_path: Path) -> None:
    """Calls that come while nobody listens are answered by the one that comes next; a renewal from a thread, too."""
    port = free_port()
    async with records(tmp_path, port) as running:
        store: Any = RemoteStore(running.url)
        await store.start()
        (message,) = [each.message for each in await store.save([draft()])]
        await store.claim("worker", 1, LONG)
    calls = [
        asyncio.create_task(store.save([draft()])),
        asyncio.create_task(store.get(message.id)),
        asyncio.create_task(
            asyncio.to_thread(lambda: asyncio.run(store.renew("worker", [message.id], LONG)))
        ),
    ]
    async with records(tmp_path, port):
        (saved,), found, renewed = await asyncio.gather(*calls)
        assert saved.created
        assert found is not None
        assert renewed == [message.id]
        (settled,) = await store.settle([said(found[0], ACCEPTED)])
        assert settled is not None
        await store.stop()


async def test_a_snapshot_ends_with_its_records_role(tmp_path: Path) -> None:
    async with records(tmp_path) as running:
        store: Any = RemoteStore(running.url)
        await store.start()
        await store.save([draft()])
        async with store.snapshot() as snapshot:
            assert len(await snapshot.walk(None, 10)) == 1
            await running.server.stop()
            with pytest.raises(StoreAway):
                await snapshot.walk(None, 10)
            with pytest.raises(StoreAway):
                await snapshot.kinds()
        await store.stop()


async def test_a_claim_whose_answer_is_lost_leaves_no_lease(tmp_path: Path) -> None:
    """The way is cut off while the claim is done; what it leased is due again at the next claim."""
    async with records(tmp_path) as running, cut_off_after(running.port) as (port, cut):
        store: Any = RemoteStore(running.url.replace(str(running.port), str(port)))
        await store.start()
        await store.save([draft(), draft()])
        cut.set()
        with pytest.raises(StoreAway):
            await store.claim("worker", 2, LONG)
        assert len(await running.store.held("worker")) == 2
        cut.clear()
        assert await store.claim("worker", 2, LONG, lane="bulk") == []
        assert await running.store.held("worker") == []
        assert len(await store.claim("worker", 2, LONG)) == 2
        await store.stop()


@asynccontextmanager
async def cut_off_after(port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to a port, which swallows every answer while the event is set."""
    cut = asyncio.Event()
    ways: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallow: bool) -> None:
        while data := await reader.read(65536):
            if not (swallow and cut.is_set()):
                writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        ways.append(back)
        await asyncio.gather(carry(reader, back, False), carry(there, writer, True))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], cut
    server.close()
    for way in ways:
        way.transport.abort()
