"""Build: claimed mails become bytes, under load in a process of its own (delivery.builder), so that this one's loop and
lock are left to the network.

Rules: that process is started when there is first enough to do, and again after it died; meanwhile, and for a few mails,
they are written here. The bytes are the same wherever they are written.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from posthouse.delivery.apart import Apart, Away
from posthouse.delivery.builder import Writing
from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.message import Content, Message
from posthouse.mail.outcome import Outcome
from posthouse.mail.unsubscribe import Links

WORTH = 8
"""Mails from which on a chunk is worth the way to the other process."""
AGAIN = 10.0
"""Seconds before a process that ended by itself is started again."""
ANSWER = 30.0
"""Seconds after which a process that does not answer is ended."""

Mail = tuple[Message, Content]
Written = bytes | Outcome

_ANSWER = msgspec.msgpack.Decoder(list[Written])
_encode = msgspec.msgpack.Encoder().encode


class Builder:
    """Makes links with `links`, if given. Call `stop` in the end; it starts by itself."""

    def __init__(self, links: Links | None = None) -> None:
        self._links = links
        self._apart = Apart("posthouse.delivery.builder")
        self._ready = False
        self._starting: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def ready_for(self, count: int) -> bool:
        """Whether a chunk of so many mails should go to `build`; if only the process is missing, it is started."""
        if count < WORTH:
            return False
        if self._ready and self._apart.stands:
            return True
        if self._starting is None and elapsed_clock() >= self._not_before:
            self._not_before = elapsed_clock() + AGAIN
            self._starting = asyncio.create_task(self._start())
        return False

    async def build(self, mails: Sequence[Mail]) -> list[Written]:
        """What became of each, in order; raises Away: write them here."""
        written = _ANSWER.decode(await self._apart.ask(_encode(Writing(mails, self._links)), ANSWER))
        if len(written) != len(mails):
            raise Away
        return written

    async def stop(self) -> None:
        """Ends the process."""
        if self._starting is not None:
            await self._starting
        self._apart.end()

    async def _start(self) -> None:
        self._ready = False
        try:
            await self._apart.start()
            await self._apart.ask(_encode(Writing([])), ANSWER)
            self._ready = True
        except Away:
            self._apart.end("it ended at its start")
        finally:
            self._starting = None
