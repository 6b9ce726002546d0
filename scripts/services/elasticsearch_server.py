"""A private Elasticsearch 8.19: one node without security and without Kibana's modules, 512 MiB of heap, fsync as it ships.

It comes from Maven Central, by Maven, and is kept unpacked beside the virtual environment's own files. It never runs as root:
root starts it as nobody.
"""

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service import CannotRun, Service, find, free_ports, run_by, wait_until

VERSION = "8.19.4"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
USER = "nobody"
HEAP = "512m"
LIMIT = 180.0
"""Seconds for a start: nine on a machine that does nothing else."""
DOWNLOAD_LIMIT = 900.0
CONFIGURATION = """\
discovery.type: single-node
xpack.security.enabled: false
network.host: 127.0.0.1
http.port: {http}
transport.port: {transport}
path.data: {folder}/data
path.logs: {folder}/logs
cluster.routing.allocation.disk.threshold_enabled: false
"""


class Server:
    """A node with its program and its data below `folder`, which must be open to the user `nobody` where we are root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._transport = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"

    def create(self) -> None:
        """Makes its folders and starts it. The settings must be there before it starts for the first time."""
        for name in ("data", "logs", "tmp"):
            (self._folder / name).mkdir()
        home = shutil.copytree(unpacked(), self._folder / "home")
        text = CONFIGURATION.format(folder=self._folder, http=self.port, transport=self._transport)
        (home / "config/elasticsearch.yml").write_text(text)
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.rglob("*")):
                shutil.chown(path, USER)
        self.start()

    def start(self) -> None:
        """Returns when it serves."""
        with (self._folder / "out.log").open("ab") as out:
            self._process = subprocess.Popen(
                [*run_by(USER), str(self._folder / "home/bin/elasticsearch")],
                env=os.environ | self._environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._serves, "Elasticsearch's answer", LIMIT)

    def kill(self) -> None:
        """As if the machine had lost power."""
        self._signal(signal.SIGKILL)
        self._wait()

    def terminate(self) -> None:
        """In order, as an operator does."""
        self._signal(signal.SIGTERM)
        self._wait()

    @property
    def pid(self) -> int:
        """Of the process above all of it."""
        assert self._process is not None
        return self._process.pid

    def freeze(self) -> None:
        """It takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Ends it, if it runs; its data is not wanted any more."""
        if self._process is not None:
            self.kill()

    @property
    def process(self) -> int:
        """The process id of the server, which runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "ES_TMPDIR": str(self._folder / "tmp"),
            "ES_JAVA_OPTS": f"-Xms{HEAP} -Xmx{HEAP}",
            "ES_JAVA_HOME": str(Path(find("java") or "").resolve().parents[1]),
            "HOME": str(self._folder),
        }

    def _serves(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise CannotRun(f"Elasticsearch ended: {(self._folder / 'out.log').read_text()[-1000:]}")
        wanted = f"http://{self.address}/_cluster/health?wait_for_status=yellow&timeout=1s"
        try:
            with urllib.request.urlopen(wanted, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _signal(self, number: signal.Signals) -> None:
        """To the node and to the program that started it: they are a process group of their own."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(LIMIT)
            self._process = None


def unpacked() -> Path:
    """The folder with the program; raises CannotRun."""
    folder = Path(sys.prefix) / "maven" / f"elasticsearch-{VERSION}"
    if not folder.exists():
        print(f"services: fetching Elasticsearch {VERSION} from Maven Central into {folder}", flush=True)
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _tell(["mvn", "-B", "-q", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={fresh}"])
        _unpack(next(fresh.glob("*.zip")), fresh)
        (fresh / folder.name).rename(folder)
        shutil.rmtree(fresh)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as files:
        files.extractall(folder)
    for path in folder.glob("*/bin/*"):
        path.chmod(0o755)


def _tell(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DOWNLOAD_LIMIT
    )
    if done.returncode:
        raise CannotRun(f"{command[0]} failed: {done.stdout.strip()[-1000:]}")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it below `folder`; gives its host and port."""
    server = Server(folder)
    try:
        server.create()
        yield server.address
    finally:
        server.end()


SERVICE = Service(
    name="elasticsearch",
    variable="POSTHOUSE_TEST_ELASTICSEARCH",
    programs=("java", "mvn"),
    packages=("openjdk-17-jre-headless", "maven"),
    running=running,
)
