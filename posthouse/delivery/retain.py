"""How old mail is forgotten beside the work: slice by slice (Store.prune), with pauses that leave the store to the mail."""

import asyncio
import contextlib

from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.errors import StoreAway
from posthouse.store.base import Store

IDLE = 1.0
"""Seconds until the next look when there was nothing to do."""
SHARE = 4
"""Slices take a fifth of the time: each is followed by a pause so many times as long."""


async def retain(store: Store, bodies: float | None, records: float | None) -> None:
    """Goes on until cancelled; `bodies` and `records` are seconds, as `prune` has them."""
    while True:
        started, gone = elapsed_clock(), 0
        with contextlib.suppress(StoreAway):  # the worker's own doors say so
            gone = await store.prune(bodies, records)
        pause = SHARE * (elapsed_clock() - started)
        await asyncio.sleep(pause if gone else max(pause, IDLE))
