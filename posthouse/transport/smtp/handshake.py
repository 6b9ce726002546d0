"""From the greeting to a session that takes mail: EHLO or HELO, STARTTLS, AUTH. A pure state machine.

Its states are the replies it waits for; TABLE names the action for each. Every refusal on this way is the
transport's failure, whatever its code. Bytes that arrive behind the reply to STARTTLS were not protected by TLS: they
end the link (CVE-2011-0411), and what EHLO told before TLS is forgotten (RFC 3207 §4.2).
"""

import re
from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec

from posthouse.transport.smtp.login import ENOUGH, MECHANISMS, Mechanism, choose, coded, response
from posthouse.transport.smtp.options import SmtpOptions
from posthouse.transport.smtp.replies import Broken, Reader, Reply

Awaited = Literal[
    "greeting",
    "ehlo",
    "helo",
    "starttls",
    "tls",
    "challenge",
    "auth",
    "denied",
    "user",
    "password",
    "nothing",
]

NO_EHLO = (500, 502, 504)
"""Replies that say EHLO is not known (RFC 5321 §3.2), so HELO is tried."""
MOST_COMMAND = 510
"""Octets of a command line without CRLF (RFC 5321 §4.5.3.1.4): a longer AUTH says its response on a line of its own."""

_LIMIT = re.compile(r"([A-Z]+)=([1-9][0-9]{0,5})").fullmatch


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What the server said to EHLO. `size` is its limit in bytes, 0 when it has none, None without SIZE.

    `utf8` is SMTPUTF8 with the 8BITMIME that it includes (RFC 6531 §3.1). Of LIMITS (RFC 9422): `most_mails` and
    `most_domains` of a session, `most_recipients` of a mail; None for no limit.
    """

    pipelining: bool = False
    eight_bit: bool = False
    starttls: bool = False
    utf8: bool = False
    size: int | None = None
    auth: frozenset[str] = frozenset()
    most_mails: int | None = None
    most_recipients: int | None = None
    most_domains: int | None = None


class Refused(Exception):
    """The server will not do business, or not safely: the transport's failure."""

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(f"{text}: {reply.code} {reply.text}" if reply else text)
        self.code = reply.code if reply else None
        self.enhanced = reply.enhanced if reply else None


class Handshake:
    """Bytes in by `receive`, bytes out by `take`, what it waits for in `awaits`.

    It pauses at "tls" until `secured` is called, and is over at "nothing", when `offer` holds. `encrypted` says that
    TLS stands from the start (implicit).
    """

    def __init__(self, options: SmtpOptions, hostname: str, encrypted: bool = False) -> None:
        self.awaits: Awaited = "greeting"
        self.offer = Offer()
        self._options = options
        self._hostname = hostname
        self._encrypted = encrypted
        self._reader = Reader()
        self._out = b""
        self._mechanism: Mechanism | None = None

    def receive(self, data: bytes) -> None:
        """Takes what the server sent; raises Refused or Broken when the link is of no use."""
        for reply in self._reader.feed(data):
            if self._out or self.awaits not in self.TABLE:
                raise Broken(f"the server spoke out of turn: {reply.code} {reply.text}")
            self.TABLE[self.awaits](self, reply)
        if self._reader.broken:
            raise self._reader.broken
        if self._reader.halfway and (self._out or self.awaits not in self.TABLE):
            raise Broken("the server spoke out of turn")

    def take(self) -> bytes:
        """What is to be written now; b"" for nothing."""
        out, self._out = self._out, b""
        return out

    def secured(self) -> None:
        """TLS stands: everything said before is forgotten, and EHLO is said again."""
        self._encrypted = True
        self._reader = Reader()
        self._hello()

    def _say(self, awaits: Awaited, line: str) -> None:
        self.awaits = awaits
        self._out = line.encode("ascii") + b"\r\n"

    def _hello(self) -> None:
        self.offer = Offer()
        self._say("ehlo", f"EHLO {self._hostname}")

    def _on_greeting(self, reply: Reply) -> None:
        if reply.code != 220:
            raise Refused("the server does not greet", reply)
        self._hello()

    def _on_ehlo(self, reply: Reply) -> None:
        if reply.code in NO_EHLO:
            self._say("helo", f"HELO {self._hostname}")
            return
        if reply.code != 250:
            raise Refused("EHLO was refused", reply)
        self.offer = read_offer(reply)
        self._after_hello()

    def _on_helo(self, reply: Reply) -> None:
        if reply.code != 250:
            raise Refused("HELO was refused", reply)
        self._after_hello()

    def _after_hello(self) -> None:
        tls = self._options.tls
        if self._encrypted or tls == "none":
            self._login()
        elif self.offer.starttls:
            self._say("starttls", "STARTTLS")
        elif tls == "starttls":
            raise Refused("the server offers no STARTTLS")
        else:
            self._login()

    def _on_starttls(self, reply: Reply) -> None:
        if reply.code == 220:
            self.awaits = "tls"
        elif self._options.tls == "opportunistic" and reply.code != 421:
            self._login()
        else:
            raise Refused("STARTTLS was refused", reply)

    def _login(self) -> None:
        options = self._options
        if options.user is None or options.password is None:
            self.awaits = "nothing"
            return
        self._mechanism = choose(options.auth, self.offer.auth)
        if self._mechanism is None:
            spoken = ", ".join(MECHANISMS[options.auth])
            raise Refused(f"the server offers no AUTH that we speak ({spoken})")
        if self._mechanism == "LOGIN":
            self._say("user", "AUTH LOGIN")
            return
        line = f"AUTH {self._mechanism} {response(self._mechanism, options)}"
        if len(line) <= MOST_COMMAND:
            self._say("auth", line)
        else:
            self._say("challenge", f"AUTH {self._mechanism}")

    def _on_challenge(self, reply: Reply) -> None:
        if reply.code != 334 or self._mechanism is None:
            raise Refused("AUTH was refused", reply)
        self._say("auth", response(self._mechanism, self._options))

    def _on_user(self, reply: Reply) -> None:
        if reply.code != 334:
            raise Refused("AUTH was refused", reply)
        self._say("password", coded(self._options.user or ""))

    def _on_password(self, reply: Reply) -> None:
        if reply.code != 334:
            raise Refused("AUTH was refused", reply)
        self._say("auth", coded(self._options.password or ""))

    def _on_auth(self, reply: Reply) -> None:
        if reply.code == 334 and self._mechanism in ENOUGH:
            self._say("denied", ENOUGH[self._mechanism])
            return
        if reply.code != 235:
            raise Refused("AUTH was refused", reply)
        self.awaits = "nothing"

    def _on_denied(self, reply: Reply) -> None:
        raise Refused("AUTH was refused", reply)

    TABLE: ClassVar[dict[Awaited, Callable[["Handshake", Reply], None]]] = {
        "greeting": _on_greeting,
        "ehlo": _on_ehlo,
        "helo": _on_helo,
        "starttls": _on_starttls,
        "challenge": _on_challenge,
        "user": _on_user,
        "password": _on_password,
        "auth": _on_auth,
        "denied": _on_denied,
    }
    """What follows from the reply that is waited for. At "tls" and "nothing" none may come."""


def read_offer(reply: Reply) -> Offer:
    """The extensions of a reply to EHLO; a keyword or parameter that cannot be read is as if it were not there."""
    said = [line[4:].decode("ascii", "replace").upper().split() for line in reply.lines[1:]]
    words = {line[0]: line[1:] for line in said if line and "=" not in line[0]}
    auth = {name for line in said if line and line[0] == "AUTH" for name in line[1:]}
    auth.update(
        name for line in said if line and line[0].startswith("AUTH=") for name in [line[0][5:], *line[1:]]
    )
    size, limits = words.get("SIZE"), _limits(words.get("LIMITS", []))
    return Offer(
        pipelining="PIPELINING" in words,
        eight_bit="8BITMIME" in words,
        starttls="STARTTLS" in words,
        utf8="SMTPUTF8" in words and "8BITMIME" in words,
        size=None if size is None else _number(size),
        auth=frozenset(auth),
        most_mails=limits.get("MAILMAX"),
        most_recipients=limits.get("RCPTMAX"),
        most_domains=limits.get("RCPTDOMAINMAX"),
    )


def _limits(words: list[str]) -> dict[str, int]:
    """The limits that are a number from 1 to 999999 (RFC 9422 §4); any other is as if it were not there."""
    return {match[1]: int(match[2]) for match in map(_LIMIT, words) if match}


def _number(words: list[str]) -> int:
    return int(words[0]) if words and words[0].isdigit() and len(words[0]) < 19 else 0
