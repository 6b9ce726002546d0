"""The gRPC server of the records role: health, reflection, TLS, deadlines, and the end of it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from posthouse.mail.errors import StoreAway
from posthouse.proto import records_pb2 as pb
from posthouse.records import Tls
from posthouse.store.base import StoreUnfit
from posthouse.store.remote import RemoteStore
from posthouse.submission.auth import make_key
from posthouse.testing.sink_tls import Authority
from posthouse.testing.store_mail import draft
from tests.contract.records import KEY, MASTER, Records, calling, records
from tests.contract.test_grpc_emails import failure, mail

Code = grpc.StatusCode
SERVICE = "posthouse.v1.EmailRecords"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Records]:
    async with records(tmp_path) as running:
        yield running


@contextmanager
def hanging(folder: Path) -> Iterator[None]:
    """Somebody else holds the file's write lock: no write is answered."""
    other = sqlite3.connect(folder / "posthouse.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_health(house: Records, tmp_path: Path) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        check = HealthStub(channel).Check
        for service in ("", SERVICE):
            assert (await check(HealthCheckRequest(service=service))).status == HealthCheckResponse.SERVING
        error = await failure(check(HealthCheckRequest(service="none")))
        assert error.code() == Code.NOT_FOUND
        with hanging(tmp_path):
            away = await check(HealthCheckRequest(), timeout=20)
            assert away.status == HealthCheckResponse.NOT_SERVING


async def test_health_says_that_the_server_stops(house: Records) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        watch = HealthStub(channel).Watch(HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == HealthCheckResponse.SERVING
        stopping = asyncio.create_task(house.server.stop())
        assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
        watch.cancel()
        await asyncio.wait_for(stopping, 5)


async def test_reflection(house: Records) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        stream = ServerReflectionStub(channel).ServerReflectionInfo()
        await stream.write(ServerReflectionRequest(list_services=""))
        listed = {each.name for each in (await stream.read()).list_services_response.service}
        assert {SERVICE, "grpc.health.v1.Health"} <= listed
        await stream.write(ServerReflectionRequest(file_containing_symbol=SERVICE))
        files = (await stream.read()).file_descriptor_response.file_descriptor_proto
        assert any(b"EmailDocument" in each for each in files)
        stream.cancel()


async def test_a_store_that_hangs_is_unavailable_within_the_deadline(house: Records, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    calls = {"SaveEmail": mail("hangs"), "SaveEmails": pb.SaveEmailsRequest(emails=[mail("hangs-too")])}
    async with calling(house.port) as stub:
        for name, request in calls.items():
            with hanging(tmp_path):
                started = loop.time()
                error = await failure(getattr(stub, name)(request, metadata=KEY, timeout=1.5))
                assert (error.code(), loop.time() - started < 1.6) == (Code.UNAVAILABLE, True)
            reply = await stub.SaveEmail(mail("hangs"), metadata=KEY)
            assert reply.status == "PENDING"


async def test_without_a_deadline_it_is_unavailable_after_five_seconds(
    house: Records, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with calling(house.port) as stub:
        with hanging(tmp_path):
            started = loop.time()
            error = await failure(stub.SaveEmail(mail("hangs"), metadata=KEY))
            assert error.code() == Code.UNAVAILABLE
            assert loop.time() - started < 6


async def test_a_remote_store_is_away_in_time(house: Records, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    store = RemoteStore(house.url)
    await store.start()
    try:
        with hanging(tmp_path):
            started = loop.time()
            with pytest.raises(StoreAway):
                await store.save([draft()])
            assert loop.time() - started < 5
        await store.save([draft()])
    finally:
        await store.stop()


async def test_a_remote_store_without_a_records_role_does_not_start(house: Records) -> None:
    await house.server.stop()
    store = RemoteStore(house.url)
    with pytest.raises(StoreAway) as away:
        await store.start()
    assert str(house.port) in str(away.value)
    assert MASTER not in str(away.value)


@pytest.mark.parametrize("key", ["wrong-key-of-16-characters"])
async def test_a_remote_store_with_a_wrong_key_does_not_start(house: Records, key: str) -> None:
    store = RemoteStore(f"grpc://127.0.0.1:{house.port}?key={key}")
    with pytest.raises(StoreUnfit) as unfit:
        await store.start()
    assert "API key" in str(unfit.value)
    assert key not in str(unfit.value)


async def test_a_key_that_is_revoked_later_is_a_store_that_is_away(house: Records) -> None:
    """A worker then keeps its outcomes until the key is good again."""
    key, plain = make_key("worker", ("admin",))
    await house.store.add_api_key(key)
    await house.keys.refresh()
    store: Any = RemoteStore(f"grpc://127.0.0.1:{house.port}?key={plain}")
    await store.start()
    await house.store.revoke_api_key("worker")
    await house.keys.refresh()
    with pytest.raises(StoreAway, match="API key"):
        await store.ping()
    await store.stop()


class TestTls:
    @pytest.fixture
    def server(self) -> Authority:
        return Authority(("localhost", "127.0.0.1"))

    @pytest.fixture
    def clients(self) -> Authority:
        return Authority(("a client",))

    async def test_tls(self, tmp_path: Path, server: Authority) -> None:
        tls = Tls(cert=server.chain, key=server.chain)
        async with records(tmp_path, tls=tls) as house:
            trusting = grpc.ssl_channel_credentials(server.pem)
            async with calling(house.port, trusting) as stub:
                assert (await stub.SaveEmail(mail(), metadata=KEY)).created
            async with calling(house.port) as stub:
                error = await failure(stub.SaveEmail(mail(), metadata=KEY, timeout=5))
                assert error.code() == Code.UNAVAILABLE

    async def test_mutual_tls(self, tmp_path: Path, server: Authority, clients: Authority) -> None:
        tls = Tls(cert=server.chain, key=server.chain, ca=clients.pem)
        async with records(tmp_path, tls=tls) as house:
            known = grpc.ssl_channel_credentials(server.pem, clients.chain, clients.chain)
            unknown = grpc.ssl_channel_credentials(server.pem)
            async with calling(house.port, known) as stub:
                assert (await stub.SaveEmail(mail(), metadata=KEY)).created
                assert (await failure(stub.SaveEmail(mail()))).code() == Code.UNAUTHENTICATED
            async with calling(house.port, unknown) as stub:
                error = await failure(stub.SaveEmail(mail(), metadata=KEY, timeout=5))
                assert error.code() == Code.UNAVAILABLE

    async def test_a_remote_store(self, tmp_path: Path, server: Authority, clients: Authority) -> None:
        files = {"ca": server.pem, "cert": clients.chain, "cert_key": clients.chain}
        for name, pem in files.items():
            (tmp_path / name).write_bytes(pem)
        query = "".join(f"&{name}={tmp_path / name}" for name in files)
        tls = Tls(cert=server.chain, key=server.chain, ca=clients.pem)
        async with records(tmp_path, tls=tls) as house:
            store: Any = RemoteStore(house.url + query)
            await store.start()
            (saved,) = await store.save([draft()])
            assert await store.get(saved.message.id)
            assert await asyncio.to_thread(lambda: asyncio.run(store.renew("nobody", ["none"], 1.0))) == []
            await store.stop()
