"""One mail on its way through a connection: what is said of it, and what became of each recipient so far.

Commands are built here, and nowhere else: an address with a control character, a space or an angle bracket never
reaches a command, and data never holds a bare CR or LF or an unstuffed dot (RFC 5321 §2.3.8, §4.5.2). SMTPUTF8 is asked
for only by a mail that needs it: by an address that is not ASCII, or a header in UTF-8 (RFC 6531 §3.4).
"""

import re
from io import IncrementalNewlineDecoder
from typing import Literal, cast

import msgspec

from posthouse.mail.outcome import Outcome, classify, not_begun, refused
from posthouse.transport.base import Envelope
from posthouse.transport.smtp.handshake import Offer
from posthouse.transport.smtp.replies import Reply

Phase = Literal["asked", "begun", "ended"]
Step = Literal["rset", "mail", "rcpt", "data", "end"]

_SAYABLE = re.compile(r"[!-;=?-~]+").fullmatch
_SAYABLE_IN_UTF8 = re.compile(r"[^\x00-\x20<>\x7f]+").fullmatch
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

    def commands(self, offer: Offer, domains: set[str] | None = None) -> list[bytes]:
        """MAIL, each RCPT, DATA; empty when nobody is left to ask, every recipient having its outcome from us.

        `domains` are those that the session has named before; its own are added where the server counts them."""
        envelope = self.envelope
        self.outcomes = [None] * len(envelope.recipients)
        self.asked, self.answered, self.phase = [], 0, "asked"
        eight_bit = not envelope.data.isascii()
        utf8 = not envelope.sender.isascii() or (eight_bit and has_utf8_header(envelope.data))
        fault = cannot_say(envelope, offer, eight_bit, utf8)
        if fault is not None:
            self.fill(fault)
            return []
        commands = [b""]
        for number, recipient in enumerate(envelope.recipients):
            held = cannot_reach(recipient, offer) or self._beyond(recipient, offer, domains)
            if held is None:
                utf8 = utf8 or not recipient.isascii()
                self.asked.append(number)
                commands.append(b"RCPT TO:<%s>\r\n" % recipient.encode())
            else:
                self.outcomes[number] = held
        commands[0] = mail_command(envelope, offer, eight_bit, utf8)
        commands.append(b"DATA\r\n")
        return commands if self.asked else []

    def _beyond(self, recipient: str, offer: Offer, domains: set[str] | None) -> Outcome | None:
        """What a recipient gets that is too many for this transaction (RFC 9422): its turn comes with another."""
        if offer.most_recipients is not None and len(self.asked) >= offer.most_recipients:
            return not_begun(f"the server takes {offer.most_recipients} recipients at a time")
        if offer.most_domains is None or domains is None:
            return None
        domain = recipient.rpartition("@")[2].lower()
        if domain not in domains and len(domains) >= offer.most_domains:
            return not_begun(f"the server takes recipients of {offer.most_domains} domains in one session")
        domains.add(domain)
        return None

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


def cannot_say(envelope: Envelope, offer: Offer, eight_bit: bool, utf8: bool) -> Outcome | None:
    """Why this server cannot be told of the mail at all, or None. `eight_bit`: its data is not ASCII; `utf8`: its
    sender or its header is not."""
    if envelope.sender and not is_sayable(envelope.sender):
        return refused("the sender's address cannot be said in SMTP", "address", 553)
    if utf8 and not offer.utf8:
        text = (
            "the mail names an address that is not ASCII before its @, and the server takes none (SMTPUTF8)"
        )
        return refused(text, "address", 550, "5.6.7")
    if offer.size and len(envelope.data) > offer.size:
        return refused(f"the server takes mail of at most {offer.size} bytes", "size", 552)
    if eight_bit and not offer.eight_bit:
        return refused("the mail has 8-bit data and the server takes none", "content", 554)
    return None


def cannot_reach(recipient: str, offer: Offer) -> Outcome | None:
    """Why this server cannot be told of a recipient, or None."""
    if _SAYABLE(recipient):
        return None
    if not is_sayable(recipient):
        return refused("the address cannot be said in SMTP", "address", 553)
    if not offer.utf8:
        text = "the address is not ASCII before its @, and the server takes no such address (SMTPUTF8)"
        return refused(text, "address", 553, "5.6.7")
    return None


def is_sayable(address: str) -> bool:
    """Whether an address can stand in a command, if need be in UTF-8 (RFC 6531 §3.3)."""
    if _SAYABLE(address):
        return True
    return not address.isascii() and address.isprintable() and bool(_SAYABLE_IN_UTF8(address))


def has_utf8_header(data: bytes) -> bool:
    """Whether the mail's header is not ASCII (RFC 6532); the headers of its parts, which we write, always are."""
    end = data.find(b"\r\n\r\n")
    return end > 0 and not data[:end].isascii()


def mail_command(envelope: Envelope, offer: Offer, eight_bit: bool, utf8: bool) -> bytes:
    """MAIL with what the server offers: SIZE (RFC 1870), BODY where the data needs it (RFC 6152), SMTPUTF8 where an
    address or the header needs it (RFC 6531)."""
    command = b"MAIL FROM:<%s>" % envelope.sender.encode()
    if offer.size is not None:
        command += b" SIZE=%d" % len(envelope.data)
    if eight_bit:
        command += b" BODY=8BITMIME"
    if utf8:
        command += b" SMTPUTF8"
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
