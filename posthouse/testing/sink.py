"""A scriptable SMTP server: the far end of tests and benchmarks, in this process or, by its command line, in its own.

It offers what it is told to, answers by rules, waits, drops the link at any step, and keeps what every connection
said and every mail it took, with the data as it arrived (dots unstuffed). `python -m posthouse.testing.sink --help`.
"""

import argparse
import asyncio
import re
import ssl
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec
import uvloop

from posthouse.testing.sink_session import Visit
from posthouse.testing.sink_tls import Authority

Step = Literal[
    "connect",
    "EHLO",
    "HELO",
    "STARTTLS",
    "AUTH",
    "MAIL",
    "RCPT",
    "DATA",
    "body",
    "end",
    "RSET",
    "NOOP",
    "QUIT",
]
"""Where a rule can act: "body" is the middle of the data, "end" the final dot, "connect" the greeting."""


_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.I | re.M)


class Rule(msgspec.Struct, kw_only=True):
    """What happens at a step: the first rule that fits acts.

    `match` is a shell pattern for the argument (the address of MAIL and RCPT). `skip` times it lets pass first, then it
    acts `times` times (None: always). `reply` replaces the reply (lines joined by \\n; "" says nothing at all; CRLF is
    added to each), `raw` are bytes sent just as they are, `delay` is seconds to wait before the reply, `drop` closes
    the link before or after the reply.
    """

    step: Step
    match: str = "*"
    skip: int = 0
    times: int | None = None
    reply: str | None = None
    raw: bytes = b""
    delay: float = 0.0
    drop: Literal["before", "after"] | None = None

    def fits(self, argument: str) -> bool:
        """Whether it acts now; counts the times."""
        if self.times == 0 or not fnmatchcase(argument, self.match):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that was taken: `at` is seconds since 1970, `visit` the number of the connection (from 0)."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    at: float
    visit: int

    @property
    def message_id(self) -> str:
        """Its Message-ID header, or ""."""
        header, _, _ = self.data.partition(b"\r\n\r\n")
        match = _MESSAGE_ID.search(header)
        return match[1].decode("ascii", "replace") if match else ""


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """What the server offers. `tls`: none, offered by STARTTLS, or from the first byte; `users` name → password, or
    access token; `ehlo` False makes it know HELO only; `limits` are those of RFC 9422, by name, which it keeps to.
    `crumbs` makes it write its replies byte by byte, with a `pause` in seconds between two; `line_end` ends each of their
    lines."""

    ehlo: bool = True
    pipelining: bool = True
    eight_bit: bool = True
    enhanced: bool = True
    utf8: bool = True
    size: int | None = None
    tls: Literal["none", "starttls", "implicit"] = "none"
    users: dict[str, str] = {}
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    limits: dict[str, int] = {}
    crumbs: bool = False
    pause: float = 0.0
    line_end: str = "\r\n"

    def words(self, secured: bool) -> list[str]:
        """The lines of its reply to EHLO, after the first; `secured` says that TLS stands."""
        words = {
            "PIPELINING": self.pipelining,
            "8BITMIME": self.eight_bit,
            "ENHANCEDSTATUSCODES": self.enhanced,
            "SMTPUTF8": self.utf8,
            f"SIZE {self.size}": self.size is not None,
            " ".join(["LIMITS", *(f"{name}={most}" for name, most in self.limits.items())]): self.limits,
            "STARTTLS": self.tls == "starttls" and not secured,
            f"AUTH {' '.join(self.mechanisms)}": self.users,
        }
        return [word for word, offered in words.items() if offered]


class SmtpSink:
    """`async with SmtpSink(rules, offers) as sink:` listens on `sink.port` of 127.0.0.1; `stop` and `start` make it go
    down and come up on the same port. `mails` and `visits` grow, `most` is how many connections it had at once; `rules`
    may be changed while it runs.

    With TLS, `sink.authority` is the CA to trust: `authority.pem` (bytes) or `authority.context()`. `on_mail` is
    called with each mail that is taken, before its reply; `keep` False keeps none in memory.
    """

    def __init__(
        self,
        rules: list[Rule] | None = None,
        offers: Offers | None = None,
        *,
        port: int = 0,
        names: tuple[str, ...] = ("127.0.0.1", "localhost"),
        on_mail: Callable[[Mail], None] | None = None,
        keep: bool = True,
    ) -> None:
        self.rules, self.offers, self.port = rules or [], offers or Offers(), port
        self.mails: list[Mail] = []
        self.visits: list[Visit] = []
        self.taken = self.most = self._count = 0
        self.authority = Authority(names) if self.offers.tls != "none" else None
        self._on_mail, self._keep = on_mail, keep
        self._server: asyncio.Server | None = None
        self._open: set[Visit] = set()
        self._changed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "SmtpSink":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens: on a free port the first time, on the same one later."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._visit, "127.0.0.1", self.port, ssl=self.tls if self.offers.tls == "implicit" else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening and drops every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for visit in list(self._open):
            visit.drop()
        await self.until(lambda: not self._open)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The server's side of TLS."""
        return self.authority.server if self.authority else None

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Returns when something happened that makes `condition` true; raises TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed = self._changed or asyncio.get_running_loop().create_future()
                await asyncio.shield(self._changed)

    async def received(self, count: int, seconds: float = 10.0) -> None:
        """Returns when `count` mails were taken."""
        await self.until(lambda: self.taken >= count, seconds)

    def rule(self, step: Step, argument: str) -> Rule | None:
        """The rule that acts at this step, if any."""
        return next((rule for rule in self.rules if rule.step == step and rule.fits(argument)), None)

    def changed(self) -> None:
        """Something happened: whoever waits looks again."""
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None

    def take(self, visit: Visit, sender: str, recipients: list[str], data: bytes) -> None:
        """A mail is accepted; its reply is written after this returns."""
        self.taken += 1
        if self._keep or self._on_mail is not None:
            number = visit.number
            mail = Mail(sender=sender, recipients=tuple(recipients), data=data, at=time.time(), visit=number)
            if self._on_mail is not None:
                self._on_mail(mail)
            if self._keep:
                self.mails.append(mail)
        self.changed()

    def opened(self, visit: Visit) -> None:
        """A connection stands."""
        self._open.add(visit)
        self.most = max(self.most, len(self._open))
        if self._keep:
            self.visits.append(visit)
        self.changed()

    def closed(self, visit: Visit) -> None:
        """A connection is gone."""
        self._open.discard(visit)
        self.changed()

    def _visit(self) -> Visit:
        self._count += 1
        return Visit(self, self._count - 1)


def main() -> None:
    """The command line: one JSON line for each mail taken (message_id, sender, recipients, size, at), flushed before
    the mail's reply is written, so the log never has less than a client was told."""
    asked = _arguments().parse_args()
    try:
        uvloop.run(_serve(asked))
    except KeyboardInterrupt:
        sys.exit(130)


def _arguments() -> argparse.ArgumentParser:
    from posthouse.testing.sink_faults import FAULTS  # which is made of what stands here

    parser = argparse.ArgumentParser(prog="posthouse.testing.sink", description="A scriptable SMTP server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before the reply to each final dot")
    parser.add_argument("--tls", choices=("none", "starttls", "implicit"), default="none")
    parser.add_argument("--ca", type=Path, help="where the CA's certificate is written (PEM)")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD")
    parser.add_argument("--size", type=int)
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--no-ehlo", action="store_true")
    parser.add_argument("--rules", default="[]", help="a JSON list of rules, as the fields of Rule")
    parser.add_argument("--fault", choices=FAULTS, metavar="NAME", help="acts out a fault of docs/smtp.md")
    parser.add_argument("--log", type=Path, help="a JSON line for each mail that was taken")
    return parser


async def _serve(asked: argparse.Namespace) -> None:
    rules, offers = _scripted(asked)
    log = asked.log.open("ab", buffering=0) if asked.log else None

    def note(mail: Mail) -> None:
        if log is not None:
            log.write(msgspec.json.encode(_line(mail)) + b"\n")

    async with SmtpSink(rules, offers, port=asked.port, on_mail=note, keep=False) as sink:
        if asked.ca and sink.authority:
            asked.ca.write_bytes(sink.authority.pem)
        print(f"ready smtp://127.0.0.1:{sink.port}", flush=True)
        await asyncio.get_running_loop().create_future()


def _scripted(asked: argparse.Namespace) -> tuple[list[Rule], Offers]:
    if asked.fault:
        from posthouse.testing.sink_faults import FAULTS

        fault = FAULTS[asked.fault]
        return fault.fresh_rules(), fault.offers
    rules = msgspec.json.decode(asked.rules, type=list[Rule])
    if asked.delay:
        rules.append(Rule(step="end", delay=asked.delay))
    offers = Offers(
        ehlo=not asked.no_ehlo,
        pipelining=not asked.no_pipelining,
        size=asked.size,
        tls=asked.tls,
        users=dict(user.split(":", 1) for user in asked.user),
    )
    return rules, offers


def _line(mail: Mail) -> dict[str, object]:
    return {
        "message_id": mail.message_id,
        "sender": mail.sender,
        "recipients": list(mail.recipients),
        "size": len(mail.data),
        "at": mail.at,
    }


if __name__ == "__main__":
    main()
