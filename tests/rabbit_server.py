"""A RabbitMQ of some tests' own: to be stopped, held still and started again without harm to others."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "scripts/services"))

from rabbitmq import SERVICE, Broker

__all__ = ["Broker", "own_broker"]


@contextmanager
def own_broker() -> Iterator[Broker]:
    """A fresh server, running; ended at the end."""
    if SERVICE.missing:
        reason = f"this machine has no {', '.join(SERVICE.missing)}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="posthouse-rabbitmq-", ignore_cleanup_errors=True) as folder:
        broker = Broker(Path(folder))
        try:
            broker.create()
            yield broker
        finally:
            broker.end()
