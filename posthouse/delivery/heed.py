"""Heed: what status events tell becomes the record. The work of whoever keeps the records.

Our workers' events count while their fence stands, those of foreign workers by what was told before (mail.advance): so
an event that comes twice, late or out of order does no harm.
"""

from collections.abc import Callable, Sequence

import structlog

from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.events import EmailStatusEvent
from posthouse.mail.message import Message
from posthouse.mail.status import once_each, settlement_of
from posthouse.queue.base import Apply
from posthouse.store.base import EVENT, Store

NO_MAIL = "no mail has this eventId"
FAILED = "it could not be written into the record"


def heed(store: Store) -> Apply:
    """Writes events into the records of a store; see queue.base.Apply."""

    async def apply(events: Sequence[EmailStatusEvent]) -> list[str | None]:
        names = list({event.event_id for event in events})
        ids = await store.named(EVENT, names)
        said = [settlement_of(event, ids.get(event.event_id, event.event_id)) for event in events]
        reasons: list[str | None] = [None] * len(said)
        for places in once_each(said):
            round = [said[place] for place in places]
            for place, reason in zip(places, await _settle(store, round), strict=True):
                reasons[place] = reason
        return reasons

    return apply


async def _settle(store: Store, said: list[Settlement]) -> list[str | None]:
    """Settles a batch; where it fails for a reason of its own each by itself, so that only the culprit fails."""
    log = structlog.get_logger("delivery")
    try:
        settled = await store.settle(said)
    except StoreAway:
        raise
    except Exception:
        if len(said) == 1:
            log.exception("status event given up", id=said[0].id)
            return [FAILED]
        return [reason for one in said for reason in await _settle(store, [one])]
    return [_reason(log.info, each, message) for each, message in zip(said, settled, strict=True)]


def _reason(say: Callable[..., object], settlement: Settlement, message: Message | None) -> str | None:
    """Why it can tell nothing to anybody. Of our own workers' events those are late whose fence is old."""
    if message is None:
        return NO_MAIL if settlement.fence is None else None
    if settlement.fence is None:
        say("told", id=message.id, state=message.state, attempt=settlement.attempt)
    return None
