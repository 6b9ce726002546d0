"""A Redis of a test's own: stopped, started again, held still, emptied."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis as client

from tests.journey.house import free_port, until


class RedisServer:
    """A process with its data in `folder`; what it had is there again after a restart."""

    def __init__(self, folder: Path, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("this machine has no redis-server")
        self.port = free_port()
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        kept = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self._command = [program, *where, *kept, *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a query."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        await until(self._answers, 10)

    def stop(self) -> None:
        """As by SIGTERM."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    async def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait, 20)
        self._process = None

    @property
    def process(self) -> int:
        """The process id of the server, which runs."""
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ask(self, *command: str) -> object:
        """One command."""
        with client.Redis(port=self.port, decode_responses=True) as connection:
            return connection.execute_command(*command)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        try:
            return bool(self.ask("PING"))
        except client.RedisError:
            return False
