"""Merge: the mails of a campaign become bytes, in a process beside that of other templates, which so never wait for them.

Rules: each is made of its own variables and what the campaign's have in common, and of nothing else; so nothing of it is
kept: made again it is the same mail. Pieces are as large as can be made quickly, so that campaigns take turns here, too.
"""

from collections.abc import AsyncGenerator, Sequence

from posthouse.delivery.build import Mail, Written
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.manner import Manner
from posthouse.delivery.render import Renderer
from posthouse.delivery.renderer import Order
from posthouse.mail.message import Message
from posthouse.mail.outcome import refused
from posthouse.mail.unsubscribe import Links

FIRST = 8
"""Mails of the first piece, of whose templates nothing is known."""
MOST = 128
SECONDS = 0.1
"""What making a piece may take, about."""
BYTES = 8 << 20
"""What a piece may come to, about."""

GONE = refused("its template is not there any more")


class Merger:
    """Makes links with `links`, if given. Call `stop` in the end; it starts by itself."""

    def __init__(self, manner: Manner, links: Links | None = None) -> None:
        self._manner = manner
        self._renderer = Renderer(None, links)
        self._piece = FIRST

    async def merge(self, campaign: str, mails: Sequence[Mail]) -> AsyncGenerator[list[Written]]:
        """What became of each, in order, piece by piece. Raises StoreAway; Away once it was stopped."""
        made = await self._manner(campaign)
        if made is None:
            yield [GONE] * len(mails)
            return
        at = 0
        while at < len(mails):
            piece = mails[at : at + self._piece]
            at += len(piece)
            started = elapsed_clock()
            orders = [Order(_bare(message), content, 0, kept=False) for message, content in piece]
            written = [built.data for built in await self._renderer.render(orders, [made])]
            self._piece = _fitting(len(piece), elapsed_clock() - started, written)
            yield written

    def stop(self) -> None:
        """Ends the process."""
        self._renderer.stop()


def _bare(message: Message) -> Message:
    """What of a record is in its mail."""
    return Message(
        id=message.id,
        message_id=message.message_id,
        lane=message.lane,
        created_at=message.created_at,
        scheduled_at=message.scheduled_at,
        recipients=[],
    )


def _fitting(count: int, seconds: float, written: Sequence[Written]) -> int:
    """How many such mails the next piece should have."""
    size = sum(len(data) for data in written if isinstance(data, bytes))
    return max(
        1, min(MOST, 4 * count, int(count * SECONDS / max(seconds, 1e-6)), count * BYTES // max(size, 1))
    )
