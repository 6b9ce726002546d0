"""A PostgreSQL of a test's own: to be stopped, frozen and started again without harm to other tests."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "scripts/services"))

from postgres import SERVICE, Cluster
from service import find, free_ports, run_by

__all__ = ["Cluster", "Standby", "find", "free_ports", "own_cluster", "run_by"]


class Standby(Cluster):
    """A server that follows another one and can only be read; its data is below `folder`, which must be open to all."""

    def follow(self, primary: Cluster) -> None:
        """Copies the other's data, and starts."""
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self._data, "postgres", "postgres")
        copy = [
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            f"--dbname={primary.url}",
        ]
        self._tell(["pg_basebackup", f"--pgdata={self._data}", *copy])
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(f"port = {self.port}\n")
        self.start()


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """A fresh server, running; ended at the end."""
    if SERVICE.missing:
        reason = f"this machine has no {', '.join(SERVICE.missing)}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="posthouse-postgres-"))
    folder.chmod(0o755)
    cluster = Cluster(folder)
    try:
        cluster.create()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder)
