"""Two far ends that speak as Amazon SES does (API v2): one at the wire that can be told to fail in every way, and moto, a
real emulator, in a process of its own."""

import asyncio
import hashlib
import hmac
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from tests.journey.house import free_port, until

KEY_ID, SECRET, REGION = "AKIDEXAMPLE", "a/secret+key", "eu-west-1"


class Answer(msgspec.Struct, frozen=True):
    """What to answer: an error of this `kind`; or hang up, before or after the body was read."""

    status: int = 400
    kind: str = "MessageRejected"
    text: str = "Email address is not verified."
    hang_up: str = ""


class Ses:
    """Listens on loopback; `answers` are given to the next mails, then all are taken."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, tuple[str, ...], bytes]] = []
        self.requests: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self.account = Answer(200, "", "")
        self.refused: set[str] = set()
        self.delay = 0.0
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The transport's URL for it."""
        secret = SECRET.replace("/", "%2F").replace("+", "%2B")
        return f"ses://{KEY_ID}:{secret}@{REGION}?endpoint=http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Opens the port, the same one every time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the port and every connection."""
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    # The contract's far end.

    def arrived(self) -> list[tuple[str, tuple[str, ...], bytes]]:
        return self.mails

    def refuse(self, address: str) -> None:
        self.refused.add(address)

    def slow(self, seconds: float) -> None:
        self.delay = seconds

    async def leave(self) -> None:
        await self.stop()

    async def come_back(self) -> None:
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._exchange(reader, writer):
                pass
        self._open.discard(writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.rstrip().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        answer = self.account
        if path != "/v2/email/account":
            answer = self.answers.pop(0) if self.answers else Answer(200, "")
        if answer.hang_up == "before":
            return False
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        assert_signed(method, path, headers, body)
        if answer.hang_up == "after":
            return False
        await asyncio.sleep(self.delay)
        status, told = self._told(path, answer, body)
        kind = b"x-amzn-errortype: %s\r\n" % answer.kind.encode() if answer.kind else b""
        writer.write(b"HTTP/1.1 %d x\r\n%scontent-length: %d\r\n\r\n%s" % (status, kind, len(told), told))
        return True

    def _told(self, path: str, answer: Answer, body: bytes) -> tuple[int, bytes]:
        if answer.status != 200 or path == "/v2/email/account":
            return answer.status, msgspec.json.encode({"message": answer.text})
        asked = msgspec.json.decode(body)
        self.requests.append(asked)
        recipients = tuple(asked["Destination"]["ToAddresses"])
        if self.refused.intersection(recipients):
            return 400, b'{"message": "one of them is on a list", "__type": "MessageRejected"}'
        sender = asked.get("FeedbackForwardingEmailAddress", "")
        self.mails.append((sender, recipients, b64decode(asked["Content"]["Raw"]["Data"])))
        return 200, msgspec.json.encode({"MessageId": f"0102-{len(self.mails)}"})


def assert_signed(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    """Signature Version 4, worked out from what came over the wire and AWS's description of it, without botocore."""
    scheme, _, rest = headers["authorization"].partition(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    names = parts["SignedHeaders"].split(";")
    assert {"host", "x-amz-date"} <= set(names)
    listed = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join((method, path, "", listed, parts["SignedHeaders"], digest))
    at = headers["x-amz-date"]
    scope = f"{at[:8]}/{REGION}/ses/aws4_request"
    assert parts["Credential"] == f"{KEY_ID}/{scope}"
    text = "\n".join((scheme, at, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + SECRET.encode()
    for word in (at[:8], REGION, "ses", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    assert parts["Signature"] == hmac.digest(key, text.encode(), "sha256").hex()


@asynccontextmanager
async def moto(log: Path) -> AsyncIterator[str]:
    """The URL of a moto server that just started."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        with suppress(httpx2.HTTPError):
            async with httpx2.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{url}/moto-api/data.json")).status_code == 200
        return False

    try:
        await until(answers, 60.0, log.read_text)
        yield url
    finally:
        process.kill()
        await process.wait()


async def verify(url: str, domain: str) -> None:
    """Lets moto take mail from this domain, as its owner does it: by the older API."""
    fields = {"Action": "VerifyDomainIdentity", "Domain": domain, "Version": "2010-12-01"}
    credential = f"AWS4-HMAC-SHA256 Credential=key/20260101/{REGION}/ses/aws4_request"
    headers = {"authorization": f"{credential}, SignedHeaders=host, Signature=0"}
    async with httpx2.AsyncClient(trust_env=False) as client:
        reply = await client.post(url, data=fields, headers=headers)
    assert reply.status_code == 200, reply.text
