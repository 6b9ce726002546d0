"""Runs a command with the real services it needs: `services run [--only a,b] -- COMMAND…`.

Each service is taken from its environment variable where that is set; else it is installed (Debian packages, as
root) and started on private ports with its data in a temporary folder, and ended with the command. What cannot be had
is named and skipped; where CI is set it fails. A further service is one file beside this one and one line in SERVICES.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import debian
import elasticsearch_server
import exim
import node_programs
import postfix
import postgres
import promtool
import rabbitmq
import redis_server
import wrk
from service import CannotRun, Service

SERVICES: tuple[Service, ...] = (
    postfix.SERVICE,
    postgres.SERVICE,
    elasticsearch_server.SERVICE,
    exim.SERVICE,
    promtool.SERVICE,
    rabbitmq.SERVICE,
    redis_server.SERVICE,
    node_programs.SERVICE,
    wrk.SERVICE,
)
ASKED_FOR = ("elasticsearch", "wrk")
"""Started only where --only names them: they are large, or for the benchmarks."""


def main(arguments: Sequence[str]) -> int:
    """Gives the command's exit code; 1 when a service is missing and CI is set."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="posthouse-services-")))
        folder.chmod(0o755)
        try:
            addresses = _start([each for each in SERVICES if each.name in options.only], folder, stack)
        except CannotRun as error:
            print(f"services: {error}", file=sys.stderr)
            return 1
        return _call(options.command, addresses)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services", description=__doc__)
    run = parser.add_subparsers(required=True).add_parser("run", help="run a command beside its services")
    names = [each.name for each in SERVICES]
    run.add_argument("--only", type=lambda text: text.split(","), help=f"some of {','.join(names)}")
    run.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    options.only = options.only or [name for name in names if name not in ASKED_FOR]
    for name in set(options.only) - set(names):
        parser.error(f"no service is called {name}; there are {', '.join(names)}")
    return options


def _start(services: Sequence[Service], folder: Path, stack: ExitStack) -> dict[str, str]:
    addresses: dict[str, str] = {}
    wanted = [each for each in services if not os.environ.get(each.variable)]
    _install(wanted)
    for each in wanted:
        try:
            addresses[each.variable] = _run(each, folder / each.name, stack)
            print(f"services: {each.name} is ready", flush=True)
        except CannotRun as error:
            if os.environ.get("CI"):
                raise CannotRun(f"CI needs {each.name}: {error}") from error
            print(f"services: skipping {each.name} and what needs it: {error}", flush=True)
    return addresses


def _install(services: Sequence[Service]) -> None:
    """Installs what is missing in one go; what could not be installed is found missing again by `_run`."""
    packages = [package for each in services if each.missing for package in each.packages]
    if not packages:
        return
    try:
        debian.install(packages)
    except CannotRun as error:
        print(f"services: {error}", flush=True)


def _run(service: Service, folder: Path, stack: ExitStack) -> str:
    if service.missing:
        raise CannotRun(f"this machine has no {', '.join(service.missing)}")
    if service.root and os.geteuid() != 0:
        raise CannotRun("only root can start it")
    folder.mkdir()
    return stack.enter_context(service.running(folder))


def _call(command: Sequence[str], addresses: dict[str, str]) -> int:
    """Runs the command to its end; Ctrl-C reaches it from the terminal and SIGTERM from us."""
    process = subprocess.Popen(command, env=os.environ | addresses)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
