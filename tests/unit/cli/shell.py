"""A shell in a folder of its own: runs posthouse in this process, or in another, and tells how it ended."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from posthouse.cli import main

SECONDS = 60


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs posthouse as if in a folder of its own; in this process, or by `start` in another."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        for name in [name for name in os.environ if name.startswith("POSTHOUSE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("POSTHOUSE_STORE", f"sqlite:///{folder}/posthouse.db")
        monkeypatch.setenv("POSTHOUSE_STATE_DIR", str(folder / "state"))
        monkeypatch.setenv("POSTHOUSE_HOSTNAME", "house.test")
        monkeypatch.chdir(folder)

    def __call__(self, *arguments: str, stdin: str | bytes = "", **settings: str) -> Ran:
        text = io.StringIO(stdin) if isinstance(stdin, str) else io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", text)
            for name, value in settings.items():
                patch.setenv(f"POSTHOUSE_{name.upper()}", value)
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        out, err = self._capsys.readouterr()
        return Ran(ended.value.code or 0, out, err)

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        given = {f"POSTHOUSE_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "posthouse.cli", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **given})

    def send(self, *arguments: str, **settings: str) -> str:
        """Hands in a mail; its id."""
        ran = self("send", "ann@example.org", "--subject", "Horses", *arguments, stdin="Hello.", **settings)
        assert ran.code == 0, ran.err
        return ran.json["id"]


def one_line(ran: Ran, code: int, *words: str) -> None:
    """It failed with a code, said why in one line, and showed no trace."""
    assert (ran.code, ran.out) == (code, ""), ran
    assert ran.err.startswith("posthouse: ")
    assert ran.err.count("\n") == 1, ran.err
    for word in words:
        assert word in ran.err
