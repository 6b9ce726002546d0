"""Installs Debian packages: says first what it installs, waits for the lock, and starts no service of its own."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from service import CannotRun

LIMIT = 900.0
ANSWERS = "postfix postfix/main_mailer_type select No configuration\n"
"""What packages would ask: our Postfix has its own configuration and never becomes the machine's mail server."""
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
"""Run level 1: packages that would start their service at once leave it."""


def install(packages: Sequence[str]) -> None:
    """Installs the packages with what they need; raises CannotRun, saying why, where it cannot."""
    if shutil.which("apt-get") is None:
        raise CannotRun(f"this machine has no apt-get; install what Debian calls {' '.join(packages)}")
    if os.geteuid() != 0:
        raise CannotRun(f"not root; let root run: apt-get install {' '.join(packages)}")
    print(f"services: installing Debian packages {' '.join(packages)}", flush=True)
    _run(["debconf-set-selections"], ANSWERS)
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    _run([*apt, "update"])
    _run([*apt, "install", "-y", "--no-install-recommends", *packages])


def _run(command: Sequence[str], answers: str = "") -> None:
    done = subprocess.run(
        command,
        env=os.environ | QUIET,
        input=answers,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT,
    )
    if done.returncode:
        raise CannotRun(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
