"""One mail on its way through a connection: what is said of it, and what became of each recipient so far.

Commands are built here, and nowhere else: an address with a control character, a space or an angle bracket never
reaches a command, and data never holds a bare CR or LF or an unstuffed dot (RFC 5321 §2.3.8, §4.5.2).
"""

import re
from io import IncrementalNewlineDecoder
from typing import Literal, cast

import msgspec

from posthouse.mail.outcome import Outcome, classify, refused
from posthouse.transport.base import Envelope
from posthouse.transport.smtp.handshake import Offer
from posthouse.transport.smtp.replies import Reply

Phase = Literal["asked", "begun", "ended"]
Step = Literal["rset", "mail", "rcpt", "data", "end"]

_SAYABLE = re.compile(r"[!-;=?-~]+").fullmatch
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class Transaction(msgspec.Struct, eq=False):
    """An envelope with its outcomes so far (None: not known yet, or taken at RCPT and waiting for the final reply).

    `phase`: MAIL not answered yet; MAIL answered; end of data sent. `answered` counts the replies to RCPT. `tries`
    counts the connections that died before they answered its MAIL.
    """

    envelope: Envelope
    outcomes: list[Outcome | None] = []
    asked: list[int] = []
    answered: int = 0
    phase: Phase = "asked"
    tries: int = 0

    def commands(self, offer: Offer) -> list[bytes]:
        """MAIL, each RCPT, DATA; empty when nobody is left to ask, every recipient having been refused by us."""
        envelope = self.envelope
        self.outcomes = [None] * len(envelope.recipients)
        self.asked, self.answered, self.phase = [], 0, "asked"
        fault = cannot_say(envelope, offer)
        if fault is not None:
            self.fill(fault)
            return []
        commands = [mail_command(envelope, offer)]
        for number, recipient in enumerate(envelope.recipients):
            if _SAYABLE(recipient):
                self.asked.append(number)
                commands.append(b"RCPT TO:<%s>\r\n" % recipient.encode("ascii"))
            else:
                self.outcomes[number] = refused("the address cannot be said in SMTP", "address", 553)
        commands.append(b"DATA\r\n")
        return commands if self.asked else []

    def answer(self, reply: Reply) -> None:
        """The reply to the next RCPT."""
        number = self.asked[self.answered]
        self.answered += 1
        if reply.code >= 400 and self.outcomes[number] is None:
            self.outcomes[number] = outcome_of(reply)

    def soften(self) -> None:
        """552 for a recipient where others were taken means "too many": it is read as 452 (RFC 5321 §4.5.3.1.10)."""
        for number, outcome in enumerate(self.outcomes):
            if outcome is not None and outcome.code == 552 and outcome.enhanced_code is None:
                self.outcomes[number] = msgspec.structs.replace(classify(452, None, outcome.text), code=552)

    def fill(self, outcome: Outcome) -> None:
        """The outcome of every recipient that has none of its own."""
        self.outcomes = [outcome if own is None else own for own in self.outcomes]

    def done(self) -> None:
        """Tells the envelope; every recipient has its outcome by now."""
        self.envelope.done(cast(list[Outcome], self.outcomes))


def outcome_of(reply: Reply) -> Outcome:
    """A reply read as an outcome."""
    enhanced, text = reply.read()
    return classify(reply.code, enhanced, text)


def cannot_say(envelope: Envelope, offer: Offer) -> Outcome | None:
    """Why this server cannot be told of the mail at all, or None."""
    if envelope.sender and not _SAYABLE(envelope.sender):
        return refused("the sender's address cannot be said in SMTP", "address", 553)
    if offer.size and len(envelope.data) > offer.size:
        return refused(f"the server takes mail of at most {offer.size} bytes", "size", 552)
    if not offer.eight_bit and not envelope.data.isascii():
        return refused("the mail has 8-bit data and the server takes none", "content", 554)
    return None


def mail_command(envelope: Envelope, offer: Offer) -> bytes:
    """MAIL with what the server offers: SIZE (RFC 1870), BODY where the data needs it (RFC 6152)."""
    command = b"MAIL FROM:<%s>" % envelope.sender.encode("ascii")
    if offer.size is not None:
        command += b" SIZE=%d" % len(envelope.data)
    if offer.eight_bit and not envelope.data.isascii():
        command += b" BODY=8BITMIME"
    return command + b"\r\n"


def on_the_wire(data: bytes) -> bytes:
    """The data as it goes out, without the final dot: bare CR and LF made CRLF, dots stuffed, CRLF at the end."""
    if _line_ends(data) != "\r\n":
        data = _BARE.sub(b"\r\n", data)
    data = data.replace(b"\r\n.", b"\r\n..")
    if data.startswith(b"."):
        data = b"." + data
    return data if data.endswith(b"\r\n") or not data else data + b"\r\n"


def _line_ends(data: bytes) -> object:
    """The one kind of line end in it, or a tuple of kinds, or None: the quickest way there is to know."""
    decoder = IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(data.decode("latin-1"), final=True)
    return decoder.newlines
