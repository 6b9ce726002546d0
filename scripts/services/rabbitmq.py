"""A private RabbitMQ: a node and a port mapper (epmd) of its own on the loopback, its data below its folder.

It has some virtual hosts; tests that run at the same time take one each. Nothing of a RabbitMQ that the machine may
have is touched, and nobody outside the machine can reach it.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service import CannotRun, Service, free_ports, wait_until

HOSTS = tuple(f"posthouse-{number}" for number in range(4))
USER = PASSWORD = "posthouse"
LIMIT = 120.0
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""Debian's command of this name would change the user and the folder."""
CONFIGURATION = """\
listeners.tcp.local = 127.0.0.1:{port}
load_definitions = {folder}/definitions.json
log.file = false
log.console = true
log.console.level = warning
disk_free_limit.absolute = 50MB
"""
SMALL = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Two schedulers that do not spin while there is nothing to do."""


class Broker:
    """A RabbitMQ with its data below `folder`; what it had is there again after a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._mapper, distribution = free_ports(3)
        self._node: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._environ = os.environ | {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"posthouse-{self.port}@localhost",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": SMALL,
        }

    def url(self, host: str = HOSTS[0]) -> str:
        """POSTHOUSE_QUEUE for one of its virtual hosts."""
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{host}"

    def create(self) -> None:
        """Makes its configuration and starts it."""
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (self._folder / "plugins").write_text("[].")
        (self._folder / "definitions.json").write_text(json.dumps(_definitions()))
        (self._folder / "rabbitmq.conf").write_text(CONFIGURATION.format(port=self.port, folder=self._folder))
        epmd = ["epmd", "-port", str(self._mapper), "-address", "127.0.0.1"]
        self._epmd = subprocess.Popen(epmd, env=self._environ, stdout=subprocess.DEVNULL)
        self.start()

    def start(self) -> None:
        """Returns when it takes connections."""
        with (self._folder / "rabbitmq.log").open("ab") as log:
            self._node = subprocess.Popen(
                [SERVER], env=self._environ, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, "RabbitMQ's answer", LIMIT)

    def stop(self) -> None:
        """At once, as if the machine had lost power."""
        self._signal(signal.SIGKILL)
        if self._node is not None:
            self._node.wait(LIMIT)
            self._node = None

    def terminate(self) -> None:
        """In order, as an operator does."""
        self._signal(signal.SIGTERM)
        if self._node is not None:
            self._node.wait(LIMIT)
            self._node = None

    @property
    def pid(self) -> int:
        """Of the process above all of it."""
        assert self._node is not None
        return self._node.pid

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Ends it with its port mapper."""
        self.stop()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait(LIMIT)

    @property
    def process(self) -> int:
        """The process id of the server, which runs."""
        assert self._node is not None
        return self._node.pid

    def _signal(self, number: signal.Signals) -> None:
        """To the node and what it started."""
        if self._node is not None:
            os.killpg(self._node.pid, number)

    def _answers(self) -> bool:
        if self._node is not None and self._node.poll() is not None:
            log = (self._folder / "rabbitmq.log").read_text(errors="replace")
            raise CannotRun(f"RabbitMQ ended with {self._node.returncode}:\n{log[-2000:]}")
        with socket.socket() as probe:
            probe.settimeout(2.0)
            try:
                probe.connect(("127.0.0.1", self.port))
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return probe.recv(1) == b"\x01"
            except OSError:
                return False


def _definitions() -> dict[str, object]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [{"name": USER, "password": PASSWORD, "tags": ["administrator"]}],
        "vhosts": [{"name": host} for host in HOSTS],
        "permissions": [{"user": USER, "vhost": host, **everything} for host in HOSTS],
    }


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it below `folder`; gives its URL, without a virtual host."""
    broker = Broker(folder)
    try:
        broker.create()
        yield broker.url("")
    finally:
        broker.end()


SERVICE = Service(
    name="rabbitmq",
    variable="POSTHOUSE_TEST_RABBITMQ",
    programs=("rabbitmqctl", "epmd"),
    packages=("rabbitmq-server",),
    running=running,
)
