"""A private PostgreSQL: as Debian ships it (fsync on), on a port of the loopback, its data in a folder of its own.

It never runs as root: root starts it as the user `postgres`, that Debian's package makes. pgbouncer comes with it, for
the tests that put it in between.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service import CannotRun, Service, find, free_ports, run_by

USER = DATABASE = "posthouse"
CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
"""


class Cluster:
    """A server with its data below `folder`, which must be open to the user `postgres` where we are root."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        (self.port,) = free_ports(1)
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def create(self) -> None:
        """Makes the data, starts the server and creates the database."""
        self._data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self._data, "postgres", "postgres")
        options = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", f"--username={USER}"]
        self._tell(["initdb", *options, f"--pgdata={self._data}"])
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(f"{CONFIGURATION}port = {self.port}\n")
        self.start()
        self._tell(["createdb", "--host=127.0.0.1", f"--port={self.port}", f"--username={USER}", DATABASE])

    def start(self) -> None:
        """Returns when it takes connections."""
        self._control("start", "--wait", f"--log={self._data}/server.log")

    def stop(self) -> None:
        """At once, as if the machine had lost power."""
        self._control("stop", "--mode=immediate")

    def forget(self) -> None:
        """Of one that was killed with kill -9, all of it: the machine started anew, so that nobody has its number."""
        (self._data / "postmaster.pid").unlink()

    def end(self) -> None:
        """Stops it if it runs."""
        if (self._data / "postmaster.pid").exists():
            self.stop()

    @property
    def process(self) -> int:
        """The process id of the server."""
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    def _control(self, *words: str) -> None:
        self._tell(["pg_ctl", f"--pgdata={self._data}", "--silent", *words])

    def _tell(self, command: Sequence[str]) -> None:
        program = find(command[0]) or command[0]
        done = subprocess.run(
            [*run_by("postgres"), program, *command[1:]],
            cwd=self._data,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise CannotRun(f"{command[0]} failed: {done.stdout.strip()[-1000:]}")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it below `folder`; gives the URL of its empty database."""
    cluster = Cluster(folder)
    try:
        cluster.create()
        yield cluster.url
    finally:
        cluster.end()


SERVICE = Service(
    name="postgres",
    variable="POSTHOUSE_TEST_POSTGRES",
    programs=("initdb", "pg_ctl", "createdb", "pgbouncer"),
    packages=("postgresql", "pgbouncer"),
    running=running,
)
