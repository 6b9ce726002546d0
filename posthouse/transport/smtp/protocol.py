"""The SMTP session of one connection, after its handshake: a pure state machine, pipelined (RFC 2920).

Bytes come in by `receive` and give events; actions give bytes, taken out by `take`; no socket, no clock, no await.
Its state is the row of replies it waits for; TABLE names the action for each. A reply that nothing waits for, that
came before its command was written, or that cannot be, ends the link. No more than one end of data is ever unanswered; one mail may follow behind it.
"""

from collections import deque
from collections.abc import Callable
from typing import ClassVar

import msgspec

from posthouse.mail.outcome import Outcome, link_lost, not_begun, transport_away, unknown
from posthouse.transport.smtp.handshake import Offer
from posthouse.transport.smtp.replies import Broken, Reader, Reply
from posthouse.transport.smtp.transaction import Step, Transaction, outcome_of

LEAVING = (421, 530)
"""Replies after which the server is of no use: it closes, or wants a login that we do not have."""
OUT_OF_STEP = 503
"""Bad sequence of commands: never the mail's fault, for we keep to the sequence."""


class GoAhead(msgspec.Struct, frozen=True):
    """354, and somebody was taken: the body comes next, then `end`. Or the link is given up."""

    transaction: Transaction


class Settled(msgspec.Struct, frozen=True):
    """Every recipient has its outcome."""

    transaction: Transaction


class Over(msgspec.Struct, frozen=True):
    """The link is of no more use. Transactions in phase "asked" were not begun: they may go another way, or have
    `unbegun` as their outcome. The others have their outcomes."""

    transactions: list[Transaction]
    unbegun: Outcome


Event = GoAhead | Settled | Over


class Session:
    """One connection's dialogue. `offer` is what the server said to EHLO."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self._reader = Reader()
        self._awaited: deque[Step] = deque()
        self._unsent: deque[tuple[Step, bytes]] = deque()
        self._open: deque[Transaction] = deque()
        self._events: list[Event] = []
        self._out: list[bytes] = []
        self._nested = False
        self._domains = set[str]()

    @property
    def full(self) -> bool:
        """Whether the session has named all the recipients' domains that it may name (RFC 9422)."""
        most = self.offer.most_domains
        return most is not None and len(self._domains) >= most

    @property
    def awaits(self) -> Step | None:
        """The step whose reply comes next; None while the body is ours to send, or nothing is under way."""
        return self._awaited[0] if self._awaited else None

    @property
    def halfway(self) -> bool:
        """Whether a reply has begun to come and is not complete."""
        return self._reader.halfway

    @property
    def current(self) -> Transaction | None:
        """The transaction at hand."""
        return self._open[0] if self._open else None

    @property
    def in_air(self) -> int:
        """How many transactions are under way."""
        return len(self._open)

    def start(self, transaction: Transaction) -> bool:
        """Says MAIL, RCPT, DATA. False: nothing was said, for we refuse it ourselves; its outcomes are set."""
        commands = transaction.commands(self.offer, self._domains)
        if not commands:
            return False
        self._open.append(transaction)
        steps: list[Step] = ["rcpt"] * len(transaction.asked)
        steps.insert(0, "mail")
        steps.append("data")
        if self._nested:
            self._nested = False
            steps.insert(0, "rset")
            commands.insert(0, b"RSET\r\n")
        if self.offer.pipelining:
            self._awaited.extend(steps)
            self._out.extend(commands)
        else:
            self._unsent.extend(zip(steps, commands, strict=True))
            self._say_next()
        return True

    def end(self, body: bytes) -> None:
        """The rest of the body, as it goes on the wire, and the final dot."""
        self._open[0].phase = "ended"
        self._nested = False
        self._awaited.append("end")
        self._out.append(body)
        self._out.append(b".\r\n")

    def take(self) -> bytes:
        """What is to be written now; b"" for nothing."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes) -> list[Event]:
        """What the server's bytes mean. After an Over nothing else comes."""
        table, events, said = self.TABLE, list[Event](), len(self._out)
        self._events = events
        try:
            for reply in self._reader.feed(data):
                if reply.code in LEAVING or (reply.code == OUT_OF_STEP and self.awaits == "mail"):
                    return self._without_go_ahead([*events, self._left(reply)])
                if not self._awaited or len(self._out) > said:
                    raise Broken(f"the server spoke out of turn: {reply.code} {reply.text}")
                table[self._awaited.popleft()](self, reply)
                if self._unsent and not self._awaited:
                    self._say_next()
            if self._reader.broken:
                raise self._reader.broken
            if self._reader.halfway and (not self._awaited or len(self._out) > said):
                raise Broken("the server spoke out of turn")
        except Broken as broken:
            events.append(self.over(str(broken)))
            return self._without_go_ahead(events)
        return events

    def over(self, text: str, verdict: Outcome | None = None) -> Over:
        """The link is gone, or given up. `verdict` is for the recipients of the mail at hand that wait for one."""
        for transaction in self._open:
            if transaction.phase == "begun":
                transaction.fill(verdict or link_lost(text))
            elif transaction.phase == "ended":
                transaction.fill(verdict or unknown(text))
        left = list(self._open)
        self._open.clear()
        self._awaited.clear()
        self._unsent.clear()
        return Over(left, not_begun(text, "network"))

    @staticmethod
    def _without_go_ahead(events: list[Event]) -> list[Event]:
        return [event for event in events if type(event) is not GoAhead]

    def _left(self, reply: Reply) -> Over:
        away = transport_away(reply.text, reply.code, reply.enhanced)
        over = self.over(reply.text, outcome_of(reply) if reply.code == 421 else away)
        return Over(over.transactions, away)

    def _say_next(self) -> None:
        step, line = self._unsent.popleft()
        self._awaited.append(step)
        self._out.append(line)

    def _settle(self, transaction: Transaction) -> None:
        self._open.popleft()
        self._unsent.clear()
        self._events.append(Settled(transaction))

    def _on_rset(self, reply: Reply) -> None:
        if reply.code >= 300:
            raise Broken(f"RSET was answered by {reply.code} {reply.text}")

    def _on_mail(self, reply: Reply) -> None:
        transaction = self._open[0]
        transaction.phase = "begun"
        if reply.code < 300:
            self._nested = True
        elif reply.code < 400:
            raise Broken(f"MAIL was answered by {reply.code} {reply.text}")
        else:
            transaction.fill(outcome_of(reply))
        if not self._awaited:
            self._settle_unless_asked(transaction)

    def _on_rcpt(self, reply: Reply) -> None:
        if 300 <= reply.code < 400 or (reply.code == OUT_OF_STEP and self._nested):
            raise Broken(f"RCPT was answered by {reply.code} {reply.text}")
        transaction = self._open[0]
        transaction.answer(reply)
        if not self._awaited and transaction.answered == len(transaction.asked):
            self._settle_unless_asked(transaction)

    def _settle_unless_asked(self, transaction: Transaction) -> None:
        if None not in transaction.outcomes:
            self._settle(transaction)

    def _on_data(self, reply: Reply) -> None:
        transaction = self._open[0]
        taken = None in transaction.outcomes
        if taken:
            transaction.soften()
        if reply.code == 354:
            self._go_ahead(transaction, taken)
        elif reply.code < 400 or (reply.code == OUT_OF_STEP and taken):
            raise Broken(f"DATA was answered by {reply.code} {reply.text}")
        else:
            transaction.fill(outcome_of(reply))
            self._settle(transaction)

    def _go_ahead(self, transaction: Transaction, taken: bool) -> None:
        if taken:
            self._events.append(GoAhead(transaction))
        else:
            self.end(b"")

    def _on_end(self, reply: Reply) -> None:
        if 300 <= reply.code < 400:
            raise Broken(f"the end of data was answered by {reply.code} {reply.text}")
        transaction = self._open[0]
        transaction.fill(outcome_of(reply))
        self._settle(transaction)

    TABLE: ClassVar[dict[Step, Callable[["Session", Reply], None]]] = {
        "rset": _on_rset,
        "mail": _on_mail,
        "rcpt": _on_rcpt,
        "data": _on_data,
        "end": _on_end,
    }
    """What follows from the reply that is waited for."""
