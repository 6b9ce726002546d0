"""Installs Debian packages: says first what it installs, waits for the lock, and starts no service of its own.

A single program can be had without that: its package is unpacked into a folder of ours."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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


def unpack(package: str) -> Path:
    """The folder with the files of a package, unpacked beside the virtual environment's own and kept there; raises
    CannotRun. What the package needs is not brought along."""
    folder = Path(sys.prefix) / "debian" / package
    if not folder.exists():
        if shutil.which("apt-get") is None:
            raise CannotRun(f"this machine has no apt-get; install what Debian calls {package}")
        print(f"services: unpacking Debian package {package} into {folder}", flush=True)
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _download(package, fresh)
        archive = next(fresh.glob("*.deb"))
        _run(["dpkg", "-x", str(archive), str(fresh)])
        archive.unlink()
        fresh.rename(folder)
    return folder


def install_libraries(package: str) -> None:
    """Installs those of the libraries that an unpacked package needs which are missing; raises CannotRun."""
    depends = _run(["apt-cache", "depends", package])
    install([name for name in re.findall(r"^ +Depends: (lib\S+)$", depends, re.M) if not _is_installed(name)])


def make_user(name: str) -> None:
    """Makes a system user as a package's own script does, unless there is one; raises CannotRun."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        print(f"services: making the system user {name}", flush=True)
        nowhere = ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
        _run(["useradd", "--system", "--user-group", *nowhere, name])


def _is_installed(package: str) -> bool:
    return subprocess.run(["dpkg-query", "--status", package], capture_output=True).returncode == 0


def _download(package: str, folder: Path) -> None:
    """Only root can bring the lists of packages up to date; anybody may download by lists that are."""
    if os.geteuid() == 0:
        _run(["apt-get", "-qq", "update"])
    _run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package], folder=folder)


def _run(command: Sequence[str], answers: str = "", folder: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | QUIET,
        input=answers,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT,
    )
    if done.returncode:
        raise CannotRun(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return done.stdout
