"""The real services as fixtures: read from the environment that scripts/services makes.

A test that asks for a service which is not there is skipped on a laptop and fails where CI is set.
"""

import email
import email.policy
import os
import time
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest


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

    def transport(self, tls: str = "none", **options: object) -> str:
        """POSTHOUSE_TRANSPORT for one of its ports; `tls` is none, starttls or implicit."""
        ports = {"none": self.plain, "starttls": self.starttls, "implicit": self.implicit}
        login = "" if tls == "none" else f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"smtp://{login}{self.host}:{ports[tls]}?tls={tls}{more}"

    def mails(self, message_id: str) -> dict[str, EmailMessage]:
        """The mails with this Message-ID (with its angle brackets) that lie in the mailbox, by recipient."""
        found = (_parse(path) for path in (self.maildir / "new").glob("*"))
        return {str(each["Delivered-To"]): each for each in found if each["Message-ID"] == message_id}

    def copies(self, message_id: str, recipient: str) -> int:
        """How often a mail was delivered to one recipient."""
        found = (_parse(path) for path in (self.maildir / "new").glob("*"))
        return sum((each["Message-ID"], each["Delivered-To"]) == (message_id, recipient) for each in found)

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


@pytest.fixture(scope="session")
def postfix() -> Postfix:
    """The Postfix that scripts/services runs; shared by all tests, so look for your own Message-ID."""
    return msgspec.json.decode(_address("POSTHOUSE_TEST_POSTFIX"), type=Postfix, dec_hook=_path)


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
