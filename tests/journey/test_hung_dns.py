"""A DNS that never answers: the relay that it names waits, and nothing else does.

The resolver is the system's own, in a mount namespace with another /etc/resolv.conf, which needs root.
"""

import asyncio
import os
import random
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from posthouse.testing.sink import SmtpSink
from tests.journey.house import House, until
from tests.journey.test_delivery import smtp

MOUNTED = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


@contextmanager
def silent_dns(folder: Path) -> Generator[tuple[str, ...]]:
    """A name server that takes every question and answers none; what runs a command with it as its only one."""
    if os.geteuid() != 0:
        reason = "only root can give a process another name server"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    trial = ["unshare", "--mount", "mount", "--bind", os.devnull, "/etc/resolv.conf"]
    if subprocess.run(trial, capture_output=True).returncode != 0:
        pytest.skip("this machine's container gives no process mounts of its own")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        address = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{random.randrange(2, 255)}"
        server.bind((address, 53))
        conf = folder / "resolv.conf"
        conf.write_text(f"nameserver {address}\noptions timeout:1 attempts:1\n")
        yield "unshare", "--mount", "sh", "-c", MOUNTED, str(conf)


async def test_a_relay_whose_name_is_never_found(tmp_path: Path) -> None:
    """Mail is accepted as ever; after three tries it leaves by the other transport; a stop waits for no answer."""
    async with SmtpSink() as sink:
        with silent_dns(tmp_path) as within:
            relays = f"smtp://relay.posthouse.example:2525?tls=none {smtp(sink.port)}"
            house = House(tmp_path, relays, hostname="house.test")
            house.within = within
            try:
                await house.start()
                ids = await asyncio.wait_for(house.send_many(50), 10)
                await until(lambda: "transport away" in house.log, 20, lambda: house.log[-2000:])
                assert "no connection to relay.posthouse.example:2525" in house.log
                ids += await asyncio.wait_for(house.send_many(50), 10)
                records = await house.until_all(ids, "sent", "failed", seconds=20)
                assert {record["state"] for record in records} == {"sent"}
                assert sum(record["attempts"] for record in records) == 100 + 3
                assert sink.taken == 100
                assert await house.stop() == 0
            finally:
                await house.close()
