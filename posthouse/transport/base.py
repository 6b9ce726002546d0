"""The transport port: how mail leaves.

Rules for every adapter:
- Each envelope ends in exactly one call of its `done`, with one outcome per recipient, in their order.
- Right before the write that can contain the end of data, with nothing of earlier writes still in our buffers, it
  calls `begin` with the replies to RCPT; when that answers False (the lease is gone) the transaction is abandoned by
  closing the link, never by a dot.
- It says what it cannot express (a refused outcome with the reason); it never drops anything silently.
- A busy pool waits; it never fails a message. What was not begun is given back with `outcome.not_begun`.
- Transactional envelopes go before bulk ones, and a fifth of two or more connections is kept for them.
"""

from collections.abc import Container, Sequence
from typing import Protocol

import msgspec

from posthouse.mail.message import Lane
from posthouse.mail.outcome import Outcome


class Envelope(Protocol):
    """One attempt as a transport sees it.

    `sender` is the envelope sender ("" for none); `recipients` are those that are due; `data` is the whole mail with
    CRLF line ends, not dot-stuffed, and ends with CRLF.
    """

    @property
    def id(self) -> str: ...
    @property
    def lane(self) -> Lane: ...
    @property
    def sender(self) -> str: ...
    @property
    def recipients(self) -> Sequence[str]: ...
    @property
    def data(self) -> bytes: ...

    def begin(self, replies: Sequence[Outcome | None]) -> bool:
        """End of data comes next: None for each recipient that was taken at RCPT, else its final outcome. The answer
        says whether the lease still holds; it is written to the journal before this returns."""
        ...

    def done(self, outcomes: Sequence[Outcome]) -> None:
        """What became of it; called once. Safe to call from the transport's own callbacks; it never blocks."""
        ...


class Use(msgspec.Struct, frozen=True):
    """What a transport is busy with at this moment: `connections` that stand, envelopes `in_air` on them, and those that
    are `waiting` for one in each lane."""

    connections: int = 0
    in_air: int = 0
    waiting: dict[Lane, int] = {}


def bulk_share(connections: int) -> int:
    """How many connections bulk may use: all but a fifth (at least one), or the only one there is."""
    return connections if connections < 2 else connections - max(1, connections // 5)


class Transport(Protocol):
    """See the module's rules. `name` tells it from others in records and logs and holds no secret.

    `connections` is how many transactions it runs at once; `limit` how many seconds an attempt may take at most.
    """

    name: str
    connections: int
    limit: float

    async def start(self) -> None:
        """Makes ready; does not connect yet, so that a hop that is away keeps nobody from starting."""
        ...

    async def stop(self) -> None:
        """Ends what is in the air at once: past end of data is unknown, before it not begun or lost. Closes."""
        ...

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Takes them on, in order; returns at once. The outcomes come through each envelope's `done`."""
        ...

    def recall(self, ids: Container[str] | None = None) -> None:
        """Gives back (`not_begun`) every envelope, or those of these ids, that no connection has taken yet."""
        ...

    def use(self) -> Use:
        """What it is busy with, for those who watch. Costs nothing to ask."""
        ...

    async def probe(self) -> None:
        """Connects and greets, no more; raises TransportAway with the reason when that fails."""
        ...
