"""The code beside records.proto is what it says."""

import subprocess
import sys

from tests.pages import ROOT


def test_the_generated_code_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "proto.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
