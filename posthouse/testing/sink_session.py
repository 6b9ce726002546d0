"""One connection to the SMTP sink: reads commands in order, answers each by the sink's rules, keeps what was said."""

import asyncio
import ssl
from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from posthouse.testing.sink_login import log_in

if TYPE_CHECKING:
    from posthouse.testing.sink import Rule, SmtpSink, Step

_DOT = b"\r\n.\r\n"


class Visit(asyncio.Protocol):
    """What one connection said, in `commands` (without CRLF), how many `mails` it began, whether it is still `open`.

    `secured` tells that TLS stands, `user` who logged in. While a reply is delayed nothing more is read of what came.
    """

    def __init__(self, sink: "SmtpSink", number: int) -> None:
        self.number = number
        self.commands: list[str] = []
        self.secured = sink.offers.tls == "implicit"
        self.user: str | None = None
        self.open = False
        self.dots = self.mails = 0
        self._sink = sink
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._searched = 0
        self._held = self._halved = False
        self._in_data = False
        self._login: list[str] | None = None
        self._sender: str | None = None
        self._utf8 = False
        self._recipients: list[str] = []
        self._domains = set[str]()
        self._out: list[bytes] = []
        self._crumbs = bytearray()

    def drop(self) -> None:
        """Closes the link at once."""
        if self._transport is not None:
            self._transport.abort()
        # Not left to connection_lost: a link that goes in the middle of a TLS handshake may never tell.
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: uvloop's transports are no asyncio.Transport by class.
        self._transport, self.open = cast(asyncio.Transport, transport), True
        self._sink.opened(self)
        self._act("connect", "", lambda: "220 sink ESMTP")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._sink.closed(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._run()

    def _run(self) -> None:
        """Reads on, as far as whole lines and no delay allow; writes all replies in one go."""
        while self.open and not self._held and self._buffer:
            if not (self._read_data() if self._in_data else self._read_line()):
                break
        self._flush()

    def _flush(self) -> None:
        if self._out and self._transport is not None and not self._transport.is_closing():
            if self._sink.offers.crumbs:
                self._crumble(b"".join(self._out))
            else:
                self._transport.write(b"".join(self._out))
        self._out.clear()

    def _crumble(self, more: bytes) -> None:
        waits = bool(self._crumbs)
        self._crumbs += more
        if not waits:
            self._write_crumb()

    def _write_crumb(self) -> None:
        if self._crumbs and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._crumbs[:1])
            del self._crumbs[:1]
            asyncio.get_running_loop().call_later(self._sink.offers.pause, self._write_crumb)

    def _read_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = self._buffer[:end].decode("utf-8", "surrogateescape")
        del self._buffer[: end + 2]
        self.commands.append(line)
        if self._login is not None:
            self._act("AUTH", line, lambda: self._log_in(line))
            return True
        verb, _, argument = line.partition(" ")
        self._command(verb.upper(), argument)
        return True

    def _command(self, verb: str, argument: str) -> None:
        found = self._VERBS.get(verb)
        if found is None or (verb == "EHLO" and not self._sink.offers.ehlo):
            self._say("502 5.5.2 not known here")
            return
        step, action = found
        shown = _address(argument) if step in ("MAIL", "RCPT") else argument
        self._act(step, shown, lambda: action(self, argument))

    def _act(self, step: "Step", argument: str, answer: Callable[[], str]) -> None:
        """Answers a step, by the first rule that fits, or as a plain server would."""
        rule = self._sink.rule(step, argument) if self._sink.rules else None
        if rule is None:
            self._say(answer())
        elif rule.delay:
            self._held = True
            self._flush()
            loop = asyncio.get_running_loop()
            loop.call_later(rule.delay, self._go_on, rule, step, answer)
        else:
            self._obey(rule, step, answer)

    def _go_on(self, rule: "Rule", step: "Step", answer: Callable[[], str]) -> None:
        if self.open:
            self._held = False
            self._obey(rule, step, answer)
            self._run()

    def _obey(self, rule: "Rule", step: "Step", answer: Callable[[], str]) -> None:
        if rule.drop == "before":
            self._flush()
            self.drop()
            return
        if rule.reply is None:
            self._say(answer())
        else:
            self._refuse(step, rule.reply, answer)
        if rule.raw:
            self._out.append(rule.raw)
        if rule.drop == "after":
            self._flush()
            self.open = False
            if self._transport is not None:
                self._transport.close()

    def _refuse(self, step: "Step", reply: str, answer: Callable[[], str]) -> None:
        """Says a scripted reply; one that accepts has the effect of the plain one."""
        if reply[:1] in ("2", "3"):
            answer()
            if step == "DATA" and not self._in_data:
                self._enter_data()
        elif step == "end":
            self._reset()
        if reply:
            self._say(reply)

    def _say(self, reply: str) -> None:
        if reply:
            self._out.append(
                "".join(f"{line}{self._sink.offers.line_end}" for line in reply.split("\n")).encode()
            )

    def _ehlo(self, argument: str) -> str:
        self._reset()
        lines = ["sink", *self._sink.offers.words(self.secured)]
        return "\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])

    def _helo(self, argument: str) -> str:
        self._reset()
        return "250 sink"

    def _starttls(self, argument: str) -> str:
        if self._sink.tls is None or self.secured:
            return "502 5.5.1 no TLS"
        self._held = True
        self._buffer.clear()
        self._out.append(b"220 2.0.0 go on\r\n")
        self._flush()
        self._task = asyncio.get_running_loop().create_task(self._secure(self._sink.tls))
        return ""

    async def _secure(self, context: ssl.SSLContext) -> None:
        wire = self._transport
        assert wire is not None
        try:
            secured = await asyncio.get_running_loop().start_tls(wire, self, context, server_side=True)
        except OSError:
            secured = None
        if secured is None:
            wire.abort()
            self.connection_lost(None)
            return
        self._transport = secured
        self.secured, self._held = True, False
        self._run()

    def _auth(self, argument: str) -> str:
        mechanism, _, first = argument.partition(" ")
        if mechanism.upper() not in self._sink.offers.mechanisms:
            return "504 5.5.4 not that way"
        self._login = [mechanism.upper()]
        if mechanism.upper() == "LOGIN":
            return "334 VXNlcm5hbWU6"
        return self._log_in(first) if first else "334 "

    def _log_in(self, line: str) -> str:
        assert self._login is not None
        self._login.append(b64decode(line).decode())
        reply, user = log_in(self._login, self._sink.offers.users)
        if not reply.startswith("334"):
            self._login, self.user = None, user
        return reply

    def _mail(self, argument: str) -> str:
        offers, address = self._sink.offers, _address(argument)
        if self._sender is not None:
            return "503 5.5.1 nested MAIL"
        if offers.users and self.user is None:
            return "530 5.7.0 log in first"
        self.mails += 1
        if self.mails > offers.limits.get("MAILMAX", self.mails):
            return "451 4.5.3 too many mails in one session"
        self._utf8 = offers.utf8 and "SMTPUTF8" in argument.rpartition(">")[2].split()
        if not address.isascii() and not self._utf8:
            return "553 5.6.7 SMTPUTF8 was not asked for"
        self._sender = address
        return "250 2.1.0 sender ok"

    def _rcpt(self, argument: str) -> str:
        address = _address(argument)
        if self._sender is None:
            return "503 5.5.1 MAIL first"
        if not address.isascii() and not self._utf8:
            return "553 5.6.7 SMTPUTF8 was not asked for"
        if self._sink.offers.limits and self._exceeds(address, self._sink.offers.limits):
            return "452 4.5.3 too many recipients, or domains of recipients"
        self._recipients.append(address)
        return "250 2.1.5 recipient ok"

    def _exceeds(self, address: str, limits: dict[str, int]) -> bool:
        self._domains.add(address.rpartition("@")[2])
        most, domains = limits.get("RCPTMAX"), limits.get("RCPTDOMAINMAX")
        too_many = most is not None and len(self._recipients) >= most
        return too_many or (domains is not None and len(self._domains) > domains)

    def _data(self, argument: str) -> str:
        if not self._recipients:
            return "554 5.5.1 no valid recipients"
        self._enter_data()
        return "354 go on"

    def _enter_data(self) -> None:
        self._in_data, self._halved, self._searched = True, False, 0
        # The data is searched for CRLF.CRLF, and an empty mail is a dot right behind this CRLF.
        self._buffer[:0] = b"\r\n"

    def _read_data(self) -> bool:
        if not self._halved and len(self._buffer) > 2:
            self._halved = True
            rule = self._sink.rule("body", "") if self._sink.rules else None
            if rule is not None:
                self._obey(rule, "body", lambda: "")
                return self.open
        end = self._buffer.find(_DOT, self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - len(_DOT))
            return False
        data = bytes(self._buffer[2 : end + 2]).replace(b"\r\n.", b"\r\n")
        del self._buffer[: end + len(_DOT)]
        self._in_data = False
        self.dots += 1
        self._act("end", "", lambda: self._take(data.removeprefix(b".")))
        return True

    def _take(self, data: bytes) -> str:
        sender, recipients = self._sender or "", self._recipients
        self._reset()
        if not recipients:
            return "554 5.5.1 no valid recipients"
        self._sink.take(self, sender, recipients, data)
        return "250 2.0.0 taken"

    def _rset(self, argument: str) -> str:
        self._reset()
        return "250 2.0.0 forgotten"

    def _noop(self, argument: str) -> str:
        return "250 2.0.0 still here"

    def _quit(self, argument: str) -> str:
        self._out.append(b"221 2.0.0 bye\r\n")
        self._flush()
        self.open = False
        if self._transport is not None:
            self._transport.close()
        return ""

    def _reset(self) -> None:
        self._sender, self._recipients = None, []

    _VERBS: ClassVar[dict[str, tuple["Step", Callable[["Visit", str], str]]]] = {
        "EHLO": ("EHLO", _ehlo),
        "HELO": ("HELO", _helo),
        "STARTTLS": ("STARTTLS", _starttls),
        "AUTH": ("AUTH", _auth),
        "MAIL": ("MAIL", _mail),
        "RCPT": ("RCPT", _rcpt),
        "DATA": ("DATA", _data),
        "RSET": ("RSET", _rset),
        "NOOP": ("NOOP", _noop),
        "QUIT": ("QUIT", _quit),
    }


def _address(argument: str) -> str:
    """The address of `FROM:<a@b> SIZE=1`; "" where there is none."""
    return argument.partition("<")[2].partition(">")[0]
