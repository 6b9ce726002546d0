"""An Elasticsearch of a test's own: killed, frozen and started again without harm to other tests."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "scripts/services"))

from elasticsearch_server import SERVICE, Server

__all__ = ["Server", "own_elasticsearch"]


@contextmanager
def own_elasticsearch() -> Iterator[Server]:
    """A fresh server, running; ended at the end. Only where the tests were given one anyway."""
    if not os.environ.get(SERVICE.variable) or SERVICE.missing:
        reason = f"{SERVICE.variable} is not set, or this machine has no {' or '.join(SERVICE.programs)}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="posthouse-elasticsearch-"))
    folder.chmod(0o755)
    server = Server(folder)
    try:
        server.create()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder)
