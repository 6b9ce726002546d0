"""Processes of a campaign killed at random points, and the toll of it: what the SMTP server really took, against what the
records say.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tests.journey.campaigns import POOL, Job, Place
from tests.journey.house import House
from tests.redis_server import RedisServer

Victim = House | RedisServer


class Toll(NamedTuple):
    """`lost` was taken by nobody though its record does not say unknown; `silent` came more than once without as many
    unknown outcomes; `doubled` came more than once, `unknown` ended as that; `open` was never closed."""

    open: int
    lost: int
    silent: int
    doubled: int
    unknown: int


async def kill(place: Place, victims: Sequence[Victim], people: int, chance: random.Random) -> None:
    """Kills one after the other, each some mails after the one before, and starts it again while the others go on. Of a
    campaign that ends before the last kills, what may be unknown by then is not waited for."""
    starting: dict[Victim, asyncio.Future[object]] = {}
    between, most = max(2, people // len(victims)), people - POOL * len(victims)
    for victim in victims:
        if victim in starting:
            await starting[victim]
        await place.sink.received(min(most, place.sink.taken + chance.randrange(1, between)), 60)
        await victim.kill()
        starting[victim] = asyncio.ensure_future(victim.start())
    await asyncio.gather(*starting.values())


async def toll(place: Place, id: str) -> tuple[Job, Toll]:
    """Waits until nothing of the campaign is open; then the count, and what is wrong."""
    job, taken = await place.over(id, 120), place.taken
    count: Counter[str] = Counter()
    for each in await place.recipients(id):
        copies, state = taken[each["email"]], each["state"]
        count["open"] += state not in ("sent", "unknown")
        count["lost"] += not copies and state != "unknown"
        count["unknown"] += state == "unknown"
        if copies > 1:
            count["doubled"] += 1
            count["silent"] += copies > 1 + (await place.api.get(each["id"]))["uncertain"]
    place.audit()
    return job, Toll(*(count[name] for name in Toll._fields))
