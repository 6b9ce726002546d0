"""From the greeting to a session that takes mail: EHLO or HELO, STARTTLS, AUTH. A pure state machine.

Its states are the replies it waits for; TABLE names the action for each. Every refusal on this way is the
transport's failure, whatever its code. Bytes that arrive behind the reply to STARTTLS were not protected by TLS: they
end the link (CVE-2011-0411), and what EHLO told before TLS is forgotten (RFC 3207 §4.2).
"""

from base64 import b64encode
from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec

from posthouse.transport.smtp.options import SmtpOptions
from posthouse.transport.smtp.replies import Broken, Reader, Reply

Awaited = Literal["greeting", "ehlo", "helo", "starttls", "tls", "auth", "user", "password", "nothing"]

NO_EHLO = (500, 502, 504)
"""Replies that say EHLO is not known (RFC 5321 §3.2), so HELO is tried."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What the server said to EHLO. `size` is its limit in bytes, 0 when it has none, None without SIZE."""

    pipelining: bool = False
    eight_bit: bool = False
    starttls: bool = False
    size: int | None = None
    auth: frozenset[str] = frozenset()


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
        user, password = self._options.user, self._options.password
        if user is None or password is None:
            self.awaits = "nothing"
        elif "PLAIN" in self.offer.auth:
            self._say("auth", f"AUTH PLAIN {_coded(chr(0) + user + chr(0) + password)}")
        elif "LOGIN" in self.offer.auth:
            self._say("user", "AUTH LOGIN")
        else:
            raise Refused("the server offers no AUTH that we speak (PLAIN, LOGIN)")

    def _on_user(self, reply: Reply) -> None:
        if reply.code != 334:
            raise Refused("AUTH was refused", reply)
        self._say("password", _coded(self._options.user or ""))

    def _on_password(self, reply: Reply) -> None:
        if reply.code != 334:
            raise Refused("AUTH was refused", reply)
        self._say("auth", _coded(self._options.password or ""))

    def _on_auth(self, reply: Reply) -> None:
        if reply.code != 235:
            raise Refused("AUTH was refused", reply)
        self.awaits = "nothing"

    TABLE: ClassVar[dict[Awaited, Callable[["Handshake", Reply], None]]] = {
        "greeting": _on_greeting,
        "ehlo": _on_ehlo,
        "helo": _on_helo,
        "starttls": _on_starttls,
        "user": _on_user,
        "password": _on_password,
        "auth": _on_auth,
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
    limit = words.get("SIZE")
    return Offer(
        pipelining="PIPELINING" in words,
        eight_bit="8BITMIME" in words,
        starttls="STARTTLS" in words,
        size=None if limit is None else _number(limit),
        auth=frozenset(auth),
    )


def _number(words: list[str]) -> int:
    return int(words[0]) if words and words[0].isdigit() and len(words[0]) < 19 else 0


def _coded(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
