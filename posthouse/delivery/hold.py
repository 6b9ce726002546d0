"""Holds all mail that is due until a person decides: for a store that is behind what really happened (a restored one).

What was due in a backup may have been sent since, and nobody can tell: so it becomes `unknown`, nothing spent, and is
sent again only when a person says so. What is due only later could not have been sent meanwhile: it keeps its time. A
campaign that was at work may have gone on to people who have no mail in the backup yet: it is paused.
Nobody else may work on the store while this runs; run again after a crash, it goes on.
"""

from collections.abc import Sequence

import msgspec

from posthouse.mail.advance import Settlement
from posthouse.mail.message import LANES, Message
from posthouse.mail.outcome import unknown
from posthouse.mail.retry import Decision
from posthouse.store.base import Store
from posthouse.store.catalog.campaigns import Campaigns, Impossible

OWNER = "hold"
"""Whose lease it is for the moment that a hold takes."""
LEASE = 60.0
SLICE = 500
WHY = "the store was restored: it may have been sent after the backup was made"


class Held(msgspec.Struct):
    """How many messages are held now, how many are open but due only later, and how many campaigns are paused."""

    held: int = 0
    later: int = 0
    paused: int = 0


async def hold(store: Store) -> Held:
    """Parks every open recipient of all mail that is leased or due, and pauses campaigns. Raises StoreAway."""
    count = Held()
    async with store.snapshot() as snapshot:
        after: str | None = None
        while kept := await snapshot.walk(after, SLICE):
            after = kept[-1].message.id
            still = [each.message for each in kept if each.message.open]
            leased = [message for message in still if message.owner is not None]
            free = [message.id for message in still if message.owner is None]
            due = await store.claim(OWNER, len(free), LEASE, ids=free) if free else []
            count.held += await _park(store, [*leased, *due])
            count.later += len(free) - len(due)
    apart = await _hold_apart(store)
    paused = await _pause(store) if isinstance(store, Campaigns) else 0
    return Held(count.held + apart, count.later - apart, paused)


async def _pause(campaigns: Campaigns) -> int:
    """Campaigns that are at work, or whose time to begin has come."""
    paused = 0
    while working := [each for each in await campaigns.working(SLICE) if each.phase != "canceled"]:
        for campaign in working:
            try:
                await campaigns.act(campaign.id, "pause", OWNER, {"why": WHY})
                paused += 1
            except Impossible:  # nothing of it is open any more
                await campaigns.complete(campaign.id)
    return paused


async def _hold_apart(store: Store) -> int:
    """What no claim by id gives: mail whose time is over, and mail that workers died over."""
    held = 0
    while expired := await store.expired(OWNER, SLICE, LEASE):
        held += await _park(store, expired)
    for lane in LANES:
        while alone := await store.claim(OWNER, 1, LEASE, lane=lane, alone=True):
            held += await _park(store, alone)
    return held


async def _park(store: Store, leased: Sequence[Message]) -> int:
    settled = await store.settle([_parked(message) for message in leased]) if leased else []
    return sum(message is not None for message in settled)


def _parked(message: Message) -> Settlement:
    decision = Decision(event="park", outcome=unknown(WHY), tried=False)
    decisions = {recipient.email: decision for recipient in message.open}
    return Settlement(id=message.id, fence=message.fence, decisions=decisions)
