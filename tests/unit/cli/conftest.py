from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.shell import SECONDS, Shell


@pytest.fixture
def posthouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def working(posthouse: Shell) -> Iterator[Shell]:
    """With a worker in another process."""
    process = posthouse.start("worker", log="json")
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                break
        yield posthouse
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0
