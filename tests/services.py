"""The real services as fixtures: read from the environment that scripts/services makes.

A test that asks for a service which is not there is skipped on a laptop and fails where CI is set.
"""

import email
import email.policy
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import httpx2
import msgspec
import pytest

HOSTS = 4
"""Virtual hosts of the RabbitMQ that scripts/services runs: posthouse-0 and so on."""


class Postfix(msgspec.Struct, frozen=True):
    """A real Postfix that takes any address of `domain` but refused@ (550) and later@ (450).

    The port `plain` wants no credentials; `starttls` and `implicit` want `user` and `password` over TLS, under a
    certificate for localhost and 127.0.0.1 whose authority is in the file `ca` (give it as SSL_CERT_FILE).
    """

    host: str
    domain: str
    plain: int
    starttls: int
    implicit: int
    user: str
    password: str
    ca: Path
    maildir: Path
    log: Path

    name: ClassVar[str] = "postfix"
    delivered_to: ClassVar[str] = "Delivered-To"

    def transport(self, tls: str = "none", **options: object) -> str:
        """POSTHOUSE_TRANSPORT for one of its ports; `tls` is none, starttls or implicit."""
        ports = {"none": self.plain, "starttls": self.starttls, "implicit": self.implicit}
        login = "" if tls == "none" else f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"smtp://{login}{self.host}:{ports[tls]}?tls={tls}{more}"

    def mails(self, message_id: str) -> dict[str, EmailMessage]:
        """The mails with this Message-ID (with its angle brackets) that lie in the mailbox, by recipient."""
        found = (_parse(path) for path in (self.maildir / "new").glob("*"))
        return {str(each[self.delivered_to]): each for each in found if each["Message-ID"] == message_id}

    def copies(self, message_id: str, recipient: str) -> int:
        """How often a mail was delivered to one recipient."""
        found = (_parse(path) for path in (self.maildir / "new").glob("*"))
        return sum((each["Message-ID"], each[self.delivered_to]) == (message_id, recipient) for each in found)

    def wait_for_mail(
        self, message_id: str, limit: float = 10.0, recipients: int = 1
    ) -> dict[str, EmailMessage]:
        """Those mails, once they are there for so many recipients; fails after `limit` seconds."""
        end = time.monotonic() + limit
        while len(found := self.mails(message_id)) < recipients:
            if time.monotonic() > end:
                pytest.fail(f"{message_id} reached {len(found)} of {recipients} mailboxes within {limit} s")
            time.sleep(0.02)
        return found


class Exim(Postfix, frozen=True):
    """A real Exim, set up like Postfix; only the header that names a file's recipient has another name."""

    name: ClassVar[str] = "exim"
    delivered_to: ClassVar[str] = "Envelope-To"


@pytest.fixture(scope="session")
def postfix() -> Postfix:
    """The Postfix that scripts/services runs; shared by all tests, so look for your own Message-ID."""
    return msgspec.json.decode(_address("POSTHOUSE_TEST_POSTFIX"), type=Postfix, dec_hook=_path)


@pytest.fixture(scope="session")
def exim() -> Exim:
    """The Exim that scripts/services runs; shared by all tests, so look for your own Message-ID."""
    return msgspec.json.decode(_address("POSTHOUSE_TEST_EXIM"), type=Exim, dec_hook=_path)


@pytest.fixture(params=["postfix", "exim"])
def peer(request: pytest.FixtureRequest) -> Postfix:
    """Each real mail server in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of promtool: it checks metrics and alert rules as Prometheus reads them."""
    return _address("POSTHOUSE_TEST_PROMTOOL")


@pytest.fixture(scope="session")
def redis() -> str:
    """The URL of a Redis, without a query; shared by all tests, so take a queue of your own in it."""
    return _address("POSTHOUSE_TEST_REDIS")


@pytest.fixture
async def rabbitmq(worker_id: str) -> str:
    """POSTHOUSE_QUEUE for a virtual host that no test has beside this one, with nothing of ours in it."""
    place = 0 if worker_id == "master" else int(worker_id.removeprefix("gw"))
    return await emptied(_address("POSTHOUSE_TEST_RABBITMQ"), place)


async def emptied(server: str, place: int) -> str:
    """The URL of a virtual host of this RabbitMQ; scripts/services makes HOSTS of them."""
    import aio_pika

    url = f"{server}posthouse-{place % HOSTS}"
    connection = await aio_pika.connect(url)
    for queue in ("email.send.queue", "email.send.bulk.queue", "email.send.dead", "email.status.queue"):
        await (await connection.channel()).queue_delete(queue)
    for exchange in ("email.send.exchange", "email.send.dlx", "email.status.exchange"):
        await (await connection.channel()).exchange_delete(exchange)
    await connection.close()
    return url


@pytest.fixture(scope="session")
def node() -> Path:
    """The folder of tests/foreign with the packages of its lock installed."""
    return Path(_address("POSTHOUSE_TEST_NODE"))


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of a PostgreSQL where we may do as we like, without a query; shared by all tests."""
    return _address("POSTHOUSE_TEST_POSTGRES")


@pytest.fixture
async def postgres(postgres_server: str) -> AsyncIterator[str]:
    """POSTHOUSE_STORE for a schema of one's own on that server, empty; dropped at the end."""
    name = f"test_{secrets.token_hex(8)}"
    async with server_connection(postgres_server) as connection:
        await connection.execute(f"CREATE SCHEMA {name}")
    yield f"{postgres_server}?search_path={name}"
    async with server_connection(postgres_server) as connection:
        await connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(scope="session")
def elasticsearch_server() -> str:
    """Host and port of an Elasticsearch where we may do as we like; shared by all tests."""
    return _address("POSTHOUSE_TEST_ELASTICSEARCH")


@pytest.fixture
def elasticsearch(elasticsearch_server: str) -> Iterator[str]:
    """POSTHOUSE_STORE for indices of one's own on that server, not yet made; deleted at the end."""
    name = f"test_{secrets.token_hex(8)}"
    yield f"elasticsearch://{elasticsearch_server}/{name}"
    made = ",".join(f"{name}{part}" for part in ("", "-contents", "-keys", "-notices", "-rates", "-gone"))
    httpx2.delete(f"http://{elasticsearch_server}/{made}?ignore_unavailable=true", timeout=30)


@asynccontextmanager
async def server_connection(url: str) -> AsyncIterator[Any]:
    """A connection of the test itself to a PostgreSQL."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def _address(variable: str) -> str:
    address = os.environ.get(variable)
    if address:
        return address
    reason = f"{variable} is not set: run the tests by `make test`, as root where it must install or start services"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _path(kind: type, value: str) -> Path:
    return kind(value)


def _parse(path: Path) -> EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
