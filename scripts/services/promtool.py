"""promtool, which checks metrics and alert rules as Prometheus reads them: a program and no server; its address is its
path. It comes out of Debian's package of Prometheus without installing that, so no Prometheus is ever started."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import debian
from service import Service, find


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Gives the path of the program."""
    yield find("promtool") or str(debian.unpack("prometheus") / "usr/bin/promtool")


SERVICE = Service("promtool", "POSTHOUSE_TEST_PROMTOOL", programs=(), packages=(), running=running)
