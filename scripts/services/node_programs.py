"""Programs of others in Node, as tests/foreign pins them: BullMQ as a foreign producer, Bull Board. Their address is
the folder where they are installed.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service import CannotRun, Service, find

HERE = Path(__file__).parents[2] / "tests" / "foreign"
LIMIT = 300.0


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Installs them into `folder`, without running any script of theirs."""
    for path in HERE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    command = [find("npm") or "", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise CannotRun(f"npm ci failed: {done.stderr[-2000:]}")
    yield str(folder)


SERVICE = Service(
    name="node",
    variable="POSTHOUSE_TEST_NODE",
    programs=("node", "npm"),
    packages=("nodejs", "npm"),
    running=running,
)
