"""A private Redis without a password, its data in memory. Each test takes queues of its own in it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service import Service, find, free_ports, wait_until

LIMIT = 20.0


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it below `folder`; gives its URL."""
    (port,) = free_ports(1)
    options = f"--bind 127.0.0.1 --port {port} --save --appendonly no --maxmemory-policy noeviction".split()
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen([find("redis-server") or "", *options, "--dir", folder], stdout=log)
    try:
        wait_until(lambda: _answers(port), "Redis's answer", LIMIT)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(LIMIT)


def _answers(port: int) -> bool:
    asked = subprocess.run([find("redis-cli") or "", "-p", str(port), "ping"], capture_output=True)
    return asked.stdout == b"PONG\n"


SERVICE = Service(
    name="redis",
    variable="POSTHOUSE_TEST_REDIS",
    programs=("redis-server", "redis-cli"),
    packages=("redis-server", "redis-tools"),
    running=running,
)
