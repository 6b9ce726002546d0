"""One connection that takes mail: carries bytes between a link and its session, and keeps the time of each step.

Right before an end of data, with nothing of earlier writes in our buffers, the envelope is asked to `begin`; when it
declines, the link is closed and no dot is ever written. A small body goes out in one write, with the next mail behind
it; a large one goes out in blocks as the link takes them, and its dot only when they are gone.
"""

import asyncio
from typing import Protocol

from posthouse.mail.message import Lane
from posthouse.mail.outcome import not_begun
from posthouse.transport.smtp.dial import Link
from posthouse.transport.smtp.options import Timeouts
from posthouse.transport.smtp.protocol import GoAhead, Over, Session, Settled
from posthouse.transport.smtp.replies import clean
from posthouse.transport.smtp.transaction import Transaction, on_the_wire

WHOLE = 64 << 10
"""Bytes of a body that still goes out in one write with its dot."""
BLOCK = 64 << 10
POLL = 0.005
"""Seconds between looks at a buffer that tells nobody when it is empty (beneath TLS)."""


class Owner(Protocol):
    """Whom a connection works for."""

    def follow(self, connection: "Connection") -> Transaction | None:
        """A mail that may go out behind the final dot of the one at hand."""
        ...

    def idle(self, connection: "Connection") -> None:
        """It has nothing more to do."""
        ...

    def over(self, connection: "Connection", over: Over) -> None:
        """It is closed; called once, unless it was told to quit."""
        ...


class Connection(asyncio.Protocol):
    """A greeted link at work. `lane` is that of its mails, None while it is idle; `given` counts them.

    Its times are kept by `look`, which its owner calls from time to time: nothing is done per mail. A step is overdue
    when nothing stirred for its time, and part of a reply stirs nothing; `born` is when it was greeted.
    """

    def __init__(self, link: Link, owner: Owner, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._link, self._transport, self._owner = link, link.transport, owner
        self._session = Session(link.offer)
        self._timeouts = timeouts
        self._seconds: dict[str | None, float] = {
            None: timeouts.block,
            "rset": timeouts.mail,
            "mail": timeouts.mail,
            "rcpt": timeouts.rcpt,
            "data": timeouts.data,
            "end": timeouts.end,
        }
        self._sending: Transaction | None = None
        self._body: memoryview[int] = memoryview(b"")
        self._paused = False
        self._closed = False
        self.lane: Lane | None = None
        self.given = 0
        self.born = self._since = self._begun = self._loop.time()
        self._stirred = True
        self._seen: Transaction | None = None
        # Paused as soon as anything stays in a buffer, resumed when it is empty. Not high=0: asyncio's TLS layer then
        # pauses on an empty buffer and never resumes.
        link.wire.set_write_buffer_limits(high=1, low=0)
        link.transport.set_write_buffer_limits(high=1, low=0)
        link.transport.set_protocol(self)

    @property
    def in_air(self) -> int:
        """How many transactions it carries: 0, 1, or 2 when one follows behind a final dot."""
        return self._session.in_air

    @property
    def spent(self) -> bool:
        """Whether the server takes no more mail in this session (RFC 9422)."""
        most = self._session.offer.most_mails
        return (most is not None and self.given >= most) or self._session.full

    def give(self, transaction: Transaction) -> bool:
        """Starts a transaction on an idle connection; False when there is nothing to say (see Session.start)."""
        if not self._start(transaction):
            return False
        self._flush()
        return True

    def quit(self) -> None:
        """Leaves politely; for an idle connection."""
        self._closed = True
        self._link.quit()

    def close(self, text: str) -> None:
        """Gives the link up now; `text` says why."""
        self._end(self._session.over(text))

    def look(self, now: float) -> float:
        """How many seconds it has rested with nothing to do, 0 while it works. Closes it when its step, or its
        transaction, is overdue."""
        current = self._session.current
        if self._stirred or current is not self._seen:
            self._since = now
            if current is not self._seen:
                self._seen, self._begun = current, now
            self._stirred = False
        if current is None:
            return now - self._since
        step = self._session.awaits
        if now - self._since > self._seconds[step]:
            waiting = f"no reply to {step}" if step else "the body was not taken"
            self.close(f"{waiting} within {self._seconds[step]:g} s")
        elif now - self._begun > self._timeouts.attempt:
            self.close(f"the transaction took longer than {self._timeouts.attempt:g} s")
        return 0.0

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        for event in self._session.receive(data):
            if type(event) is Settled:
                event.transaction.done()
            elif type(event) is GoAhead:
                self._go_ahead(event.transaction)
            elif type(event) is Over:
                self._end(event)
            if self._closed:
                return
        self._stirred = self._stirred or not self._session.halfway
        self._flush()
        if not self._session.in_air and self.lane is not None:
            self._owner.idle(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._sending is not None:
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        why = f": {clean(str(exc))}" if exc else ""
        self.close(f"the link was lost{why}")

    def _start(self, transaction: Transaction) -> bool:
        started = self._session.start(transaction)
        self.given += started
        return started

    def _go_ahead(self, transaction: Transaction) -> None:
        body = on_the_wire(transaction.envelope.data)
        if len(body) <= WHOLE and self._drained():
            self._finish(transaction, body)
            return
        self._sending, self._body = transaction, memoryview(body)
        self._pump()

    def _finish(self, transaction: Transaction, rest: bytes) -> None:
        if not transaction.envelope.begin(tuple(transaction.outcomes)):
            text = "the lease was gone before the end of data"
            self._end(self._session.over(text, not_begun(text)))
            return
        self._session.end(rest)
        if self._session.offer.pipelining:
            following = self._owner.follow(self)
            if following is not None and not self._start(following):
                following.done()

    def _pump(self) -> None:
        while self._body and not self._paused and not self._transport.is_closing():
            block, self._body = self._body[:BLOCK], self._body[BLOCK:]
            self._transport.write(block)
            self._stirred = True
        if not self._body and not self._paused:
            self._finish_when_drained()

    def _finish_when_drained(self) -> None:
        transaction = self._sending
        if transaction is None or self._closed:
            return
        if not self._drained():
            self._loop.call_later(POLL, self._finish_when_drained)
            return
        self._sending = None
        self._finish(transaction, b"")
        self._flush()

    def _drained(self) -> bool:
        if self._transport.get_write_buffer_size():
            return False
        return self._link.wire is self._transport or not self._link.wire.get_write_buffer_size()

    def _flush(self) -> None:
        out = self._session.take()
        if out and not self._closed:
            self._transport.write(out)
            self._stirred = True

    def _end(self, over: Over) -> None:
        if self._closed:
            return
        self._closed = True
        self._sending = None
        self._transport.abort()
        self._owner.over(self, over)
