"""Deployment 3 without its broker: a records process that owns the record, producers and workers that reach it by gRPC."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from posthouse.proto import records_pb2 as pb
from posthouse.testing.sink import Rule, SmtpSink
from posthouse.testing.sink_tls import Authority
from tests.contract.records import calling
from tests.journey.house import KEY, House, free_port, until
from tests.journey.test_delivery import smtp
from tests.pages import blocks

META = (("x-api-key", KEY),)


class Place:
    """The processes of one test, each with a folder of its own; all on one records role."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.houses: list[House] = []

    async def records(self, **settings: str) -> House:
        """`posthouse records` over SQLite."""
        return await self._start("records", "inbox:", ("records",), grpc_port=str(self.port), **settings)

    async def worker(self, transport: str, name: str = "worker", **settings: str) -> House:
        """`posthouse worker` on that records role."""
        return await self._start(
            name, transport, ("worker",), store=f"grpc://127.0.0.1:{self.port}", **settings
        )

    async def api(self) -> House:
        """An api process on that records role."""
        store = f"grpc://127.0.0.1:{self.port}"
        return await self._start("api", "inbox:", ("serve", "--roles", "api"), store=store)

    async def _start(self, name: str, transport: str, words: tuple[str, ...], **settings: str) -> House:
        (self.folder / name).mkdir()
        house = House(self.folder / name, transport, words, **settings)
        self.houses.append(house)
        return await house.start()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    yield place
    await asyncio.gather(*(house.close() for house in place.houses))


def mail(event_id: str) -> pb.EmailDocument:
    return pb.EmailDocument(
        event_id=event_id, recipient="ann@example.org", subject=event_id, text="are changed here"
    )


async def get(stub: Any, event_id: str) -> pb.EmailDocument:
    """The document as it stands."""
    return await stub.GetEmail(pb.GetEmailRequest(event_id=event_id), metadata=META, timeout=10)


async def test_a_saved_document_is_sent_and_says_so(place: Place) -> None:
    """By a worker in another process, which is woken: ten one after the other take less than a look a second."""
    async with SmtpSink() as sink, calling(place.port) as stub:
        await place.records()
        worker = await place.worker(smtp(sink.port))
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(10):
            await stub.SaveEmail(mail(f"event-{number}"), metadata=META)
            await until(lambda number=number: sink.taken > number, 10, lambda: worker.log)
        assert loop.time() - started < 8

        async def sent() -> bool:
            return (await get(stub, "event-9")).status == "SENT"

        await until(sent, 10, lambda: worker.log)
        document = await get(stub, "event-0")
        assert (document.status, document.attempts) == ("SENT", 1)
        assert document.provider.startswith("smtp:")
        metrics = document.metrics
        assert metrics.queued_ms + metrics.render_ms + metrics.delivery_ms <= metrics.total_ms + 3
        assert metrics.HasField("queued_ms")
        assert metrics.HasField("delivery_ms")
        assert sink.taken == 10


async def test_records_killed_again_and_again_lose_nothing(place: Place) -> None:
    """Producers repeat what was not answered, workers go on: each eventId is sent, and once."""
    async with SmtpSink([Rule(step="end", delay=0.01)]) as sink, calling(place.port) as stub:
        records = await place.records()
        worker = await place.worker(smtp(sink.port, connections=4))
        gate = asyncio.Semaphore(8)

        async def save(event_id: str) -> None:
            async with gate:
                while True:
                    try:
                        await stub.SaveEmail(mail(event_id), metadata=META, timeout=5, wait_for_ready=True)
                        return
                    except grpc.aio.AioRpcError as error:
                        assert error.code() in (
                            grpc.StatusCode.UNAVAILABLE,
                            grpc.StatusCode.DEADLINE_EXCEEDED,
                        )

        event_ids = [f"event-{number}" for number in range(300)]
        saving = asyncio.gather(*(save(event_id) for event_id in event_ids))
        for taken in (20, 120):
            await until(lambda taken=taken: sink.taken > taken, 20, lambda: worker.log)
            await records.kill()
            await records.start()
        await saving

        async def closed() -> bool:
            asked = pb.ListEmailsRequest(status="PENDING", limit=1)
            return not (await stub.ListEmails(asked, metadata=META, timeout=10)).emails

        await until(closed, 60, lambda: worker.log[-3000:])
        documents = [await get(stub, event_id) for event_id in event_ids]
        assert {document.status for document in documents} == {"SENT"}
        extra = sink.taken - len(event_ids)
        assert extra <= sum(document.uncertain for document in documents)
        audit = call(worker, "audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr


async def test_the_api_may_live_on_a_records_role(place: Place) -> None:
    async with SmtpSink() as sink:
        await place.records()
        await place.worker(smtp(sink.port))
        api = await place.api()
        id = await api.send()
        record = await api.until(id, "sent")
        assert record["status"] == "SENT"
        assert (await api.client.get("/readyz")).status_code == 200
        async with calling(place.port) as stub:
            assert (await get(stub, id)).status == "SENT"


async def test_commands_act_on_a_records_role(place: Place) -> None:
    records = await place.records()
    api = await place.api()
    await api.send()
    assert json.loads(call(api, "status").stdout)["states"]["pending"] == 1
    created = call(api, "keys", "create", "producer", "--scope", "send")
    assert created.returncode == 0, created.stderr
    key = json.loads(created.stdout)["key"]
    async with calling(place.port) as stub:
        save = stub.SaveEmail
        await accepted(lambda: save(mail("by-that-key"), metadata=(("x-api-key", key),)))
    assert await records.stop() == 0


async def test_health_and_metrics_where_there_is_a_port(place: Place) -> None:
    records = await place.records()
    assert f"ready http://127.0.0.1:{records.port}" in records.log
    assert (await records.client.get("/readyz")).status_code == 200
    async with calling(place.port) as stub:
        await stub.SaveEmail(mail("counted"), metadata=META)
    metrics = (await records.client.get("/metrics")).text
    assert 'posthouse_accepted_messages_total{lane="transactional"} 1.0' in metrics
    assert (await records.client.post("/email/send", json={})).status_code == 404


async def test_one_process_with_all_roles(tmp_path: Path) -> None:
    """`serve` has gRPC where it is given a port."""
    port = free_port()
    house = House(tmp_path, grpc_port=str(port))
    try:
        await house.start()
        async with calling(port) as stub:
            await stub.SaveEmail(mail("all-in-one"), metadata=META)

            async def sent() -> bool:
                return (await get(stub, "all-in-one")).status == "SENT"

            await until(sent, 10, lambda: house.log)
    finally:
        await house.close()


async def test_mutual_tls_by_settings(place: Place, tmp_path: Path) -> None:
    """Producers and workers need a certificate of the authority; without POSTHOUSE_PORT there is no HTTP."""
    server, clients = Authority(("127.0.0.1", "localhost")), Authority(("worker",))
    files = {"chain": server.chain, "ca": server.pem, "client": clients.chain, "clients": clients.pem}
    for name, pem in files.items():
        (tmp_path / name).write_bytes(pem)
    records = House(
        tmp_path,
        arguments=("records",),
        grpc_port=str(place.port),
        grpc_tls_cert=str(tmp_path / "chain"),
        grpc_tls_key=str(tmp_path / "chain"),
        grpc_tls_ca=str(tmp_path / "clients"),
    )
    del records.environ["POSTHOUSE_PORT"]
    place.houses.append(records)
    await records.start()
    assert f"ready grpc://127.0.0.1:{place.port}" in records.log
    credentials = grpc.ssl_channel_credentials(server.pem, clients.chain, clients.chain)
    store = (
        f"grpc://127.0.0.1:{place.port}?ca={tmp_path}/ca&cert={tmp_path}/client&cert_key={tmp_path}/client"
    )
    async with SmtpSink() as sink, calling(place.port, credentials) as stub:
        (tmp_path / "worker").mkdir()
        worker = House(tmp_path / "worker", smtp(sink.port), ("worker",), store=store)
        place.houses.append(worker)
        await worker.start()
        await stub.SaveEmail(mail("secret"), metadata=META)
        await until(lambda: sink.taken == 1, 10, lambda: worker.log)
    async with grpc.aio.secure_channel(f"localhost:{place.port}", credentials) as channel:
        health = await HealthStub(channel).Check(HealthCheckRequest())
        assert health.status == HealthCheckResponse.SERVING
    assert await records.stop() == 0


async def test_a_port_that_is_taken_is_said(place: Place, tmp_path: Path) -> None:
    await place.records()
    (tmp_path / "other").mkdir()
    other = House(tmp_path / "other", grpc_port=str(place.port))
    refused = call(other, "records")
    assert refused.returncode == 2
    assert f"cannot listen on 127.0.0.1:{place.port}" in refused.stderr


async def test_the_example_of_the_page_works(place: Place) -> None:
    await place.records(api_key="my-first-post-house")
    (example,) = [text for language, text in blocks("docs/grpc.md") if language == "python"]
    code = example.replace("50051", str(place.port))
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert ran.stdout.splitlines() == ["order-4711 PENDING True", "PENDING"], ran.stderr


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"store": "grpc://127.0.0.1:1"}, "the records role at 127.0.0.1:1 does not answer"),
        ({"store": "grpc://127.0.0.1:1?user=x"}, "POSTHOUSE_STORE: grpc:// has no such option"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    refused = call(House(tmp_path, arguments=("worker",), **settings), "worker")
    assert refused.returncode in (1, 2)
    assert says in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert KEY not in refused.stderr


def call(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with the settings of a house."""
    command = [sys.executable, "-m", "posthouse.cli", *words]
    return subprocess.run(
        command, env=house.environ, cwd=house.folder, capture_output=True, text=True, timeout=60
    )


async def accepted(ask: Any) -> None:
    """Returns once a new key is known: within a second, as a rule."""

    async def known() -> bool:
        try:
            await ask()
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED
            return False
        return True

    await until(known, 10)
