"""A disk that is full, and one that can only be read: accept refuses with a problem, and what was accepted stays.

The disks are real: file systems in memory of a few megabytes, mounted for the test, which needs root.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.cluster import own_cluster
from tests.journey.house import House, opened, until
from tests.journey.test_crash import compare
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import call, placed, running
from tests.services import server_connection

BODY = "".join(sha256(str(number).encode()).hexdigest() for number in range(1_600))
"""100 kB that no store can press."""
MOST = 1_000
"""Mails after which a disk that is still not full never will be."""


class Disk:
    """A file system in memory at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def become(self, *options: str) -> None:
        """Another size, or another way to be used."""
        subprocess.run(["mount", "-o", ",".join(["remount", *options]), self.folder], check=True)

    def fill(self) -> None:
        """Takes what is left of it."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 65_536)
            except OSError:
                pass


@contextmanager
def disk(size: str) -> Iterator[Disk]:
    """Mounted where everybody can go, and gone at the end."""
    if os.geteuid() != 0:
        reason = "only root can mount a small disk"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="posthouse-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "posthouse", folder], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


async def post(house: House, body: str = BODY) -> httpx2.Response:
    request = {"to": "ann@example.org", "subject": "Horses", "body": body}
    return await house.client.post("/email/send", json=request)


async def fill(house: House) -> list[str]:
    """Sends large mail until it is refused; what was accepted before."""
    ids: list[str] = []
    while len(ids) < MOST:
        answer = await post(house)
        if answer.status_code != 202:
            check_refusal(answer)
            return ids
        ids.append(answer.headers["x-message-id"])
    raise AssertionError(f"the disk took {MOST} mails")


def check_refusal(answer: httpx2.Response) -> None:
    """A problem that says when to come again, and shows nothing of our inside."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert "tmp" not in answer.text


async def refused(house: House) -> bool:
    return (await post(house, "small")).status_code == 503


async def accepted(house: House) -> bool:
    return (await post(house, "small")).status_code == 202


async def check_kept(house: House, ids: list[str]) -> None:
    """All of them can be read while nothing can be written."""
    for id in ids:
        record = await house.get(id)
        assert (record["subject"], record["text"]) == ("Horses", BODY)


@asynccontextmanager
async def housed(tmp_path: Path, size: str, transport: str) -> AsyncIterator[tuple[House, Disk]]:
    """A house whose record lies on a small disk."""
    with disk(size) as small:
        async with opened(tmp_path, transport, store=f"sqlite:///{small.folder}/posthouse.db") as house:
            yield house, small


async def check_sent(house: House, sink: SmtpSink, ids: list[str]) -> None:
    """All is sent that was accepted, and what was refused before it was stored is not there."""
    records = [item["id"] for item in await house.all()]
    assert set(ids) <= set(records)
    assert await compare(house, sink, records) == {"sent": len(records)}
    assert call(house, "audit").returncode == 0


async def test_sqlite_on_a_full_disk(tmp_path: Path) -> None:
    """It is full while mail goes out: what the server took and could not be written down is written down later."""
    async with (
        SmtpSink([Rule(step="end", delay=0.05)]) as sink,
        housed(tmp_path, "8m", smtp(sink.port)) as (house, small),
    ):
        ids = await fill(house)
        assert len(ids) > 10
        await check_kept(house, ids)
        assert (await house.client.get("/livez")).status_code == 200
        small.become("size=64m")
        await until(lambda: accepted(house), 20, lambda: house.log[-2000:])
        await check_sent(house, sink, ids)


async def test_sqlite_on_a_disk_that_can_only_be_read(tmp_path: Path) -> None:
    """A start says what is wrong, and harms nothing: as soon as it can be written to, all goes on."""
    async with (
        SmtpSink([Rule(step="end", delay=0.05)]) as sink,
        housed(tmp_path, "64m", smtp(sink.port)) as (house, small),
    ):
        ids = [answer.headers["x-message-id"] for answer in [await post(house) for _ in range(40)]]
        await house.stop()
        small.become("ro")
        check_told(await asyncio.to_thread(call, house, "serve"), "can only be read")
        small.become("rw")
        await house.start()
        await check_sent(house, sink, ids)


async def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    with disk("1m") as small:
        small.fill()
        house = House(tmp_path, store=f"sqlite:///{small.folder}/posthouse.db")
        check_told(await asyncio.to_thread(call, house, "serve"), "full")
        await house.close()


def check_told(ended: subprocess.CompletedProcess[str], why: str) -> None:
    """It ended at once, with one line that says why."""
    assert ended.returncode == 1
    *_, said = ended.stderr.splitlines()
    assert why in said
    assert "Traceback" not in ended.stderr


async def test_postgres_without_room_and_without_the_right_to_write(tmp_path: Path) -> None:
    """Its tables lie on the small disk. Then there is room, and the database lets nobody write for a while."""
    with disk("24m") as small, own_cluster() as cluster:
        shutil.chown(small.folder, "postgres", "postgres")
        async with server_connection(cluster.url) as server, SmtpSink([Rule(step="end", delay=0.05)]) as sink:
            await server.execute(f"CREATE TABLESPACE small LOCATION '{small.folder}'")
            await server.execute("CREATE DATABASE mail TABLESPACE small")
            store = urlsplit(cluster.url)._replace(path="/mail").geturl()
            house = placed(tmp_path, "house", store, smtp(sink.port), "serve")
            assert call(house, "migrate").returncode == 0
            async with running(house):
                ids = await fill(house)
                assert len(ids) > 10
                await check_kept(house, ids)
                small.become("size=128m")
                await until(lambda: accepted(house), 20, lambda: house.log[-2000:])
                await only_reads(server, "on")
                await until(lambda: refused(house), 20)
                await check_kept(house, ids)
                await only_reads(server, "off")
                await until(lambda: accepted(house), 20, lambda: house.log[-2000:])
                await check_sent(house, sink, ids)


async def only_reads(server: Any, onoff: str) -> None:
    """For every connection that begins now; those that stand are ended."""
    await server.execute(f"ALTER DATABASE mail SET default_transaction_read_only = {onoff}")
    await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'mail'")
