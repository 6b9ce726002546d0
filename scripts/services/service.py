"""What a service is to the runner: its name, its address in the environment, its packages, and how it is run.

Rules: `running` starts it with all its data below the folder it is given, waits on a condition until it serves,
gives the address that the tests are told, and ends exactly what it started.
"""

import dataclasses
import grp
import os
import pwd
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Service:
    """One real program that tests need.

    `variable` names the environment variable with its address; `programs` are the executables it needs and
    `packages` the Debian packages that bring them; `root` says that it cannot be started by anybody else.
    """

    name: str
    variable: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]
    running: Callable[[Path], AbstractContextManager[str]]
    root: bool = False

    @property
    def missing(self) -> list[str]:
        """The programs that are not on this machine."""
        return [program for program in self.programs if find(program) is None]


class CannotRun(Exception):
    """A service cannot be had here; the text says why and what to do."""


def find(program: str) -> str | None:
    """Where a program is; Debian keeps servers where a plain user's PATH does not look."""
    servers = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(
        program, path=":".join([os.environ.get("PATH", os.defpath), "/usr/sbin:/sbin", *servers])
    )


def run_by(user: str) -> list[str]:
    """What a command begins with that root wants this user to run. Python's own way forks, and a fork of a process with
    threads of gRPC may crash."""
    if os.geteuid() != 0:
        return []
    group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    return [find("setpriv") or "setpriv", "--reuid", user, "--regid", group, "--clear-groups"]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(ready: Callable[[], bool], what: str, limit: float) -> None:
    """Asks until `ready`; raises CannotRun when it is not so within `limit` seconds."""
    end = time.monotonic() + limit
    while not ready():
        if time.monotonic() > end:
            raise CannotRun(f"{what} did not happen within {limit:.0f} s")
        time.sleep(0.05)
