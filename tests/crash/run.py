"""One cell: mail comes in, the harm is done and undone, all is waited for, and the books are compared."""

import asyncio
import random
from collections.abc import Sequence
from typing import NamedTuple

from posthouse.store.audit import audit
from tests.crash.cell import CUT, JUMPS, KILL, LOST, RANDOM, STOP, Cell
from tests.crash.ground import Ground
from tests.crash.parts import Role
from tests.crash.place import Place
from tests.journey.house import until

SECONDS = {KILL: 0.5, LOST: 0.0, STOP: 6.0, CUT: 3.0}
"""How long it lasts: what is stopped, for three leases; what is killed, until it is started again after that."""
REACHED = 120.0
"""Seconds in which the moment must come."""
HEALED = 120.0
"""Seconds in which all must be closed."""


class Books(NamedTuple):
    """What was found: of the mails that were `accepted` how many were `lost`, came more than once (`doubled`), or say that
    an outcome was `unknown`; the `seconds` from the end of the harm (of a death: from it) until nothing was open; and what is `wrong`."""

    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    seconds: float = 0.0
    wrong: Sequence[str] = ()


async def run(cell: Cell, ground: Ground, mails: int) -> Books:
    """Runs it, with so many mails."""
    names = [f"{cell.deployment}-{random.randrange(1 << 32):08x}-{number}" for number in range(mails)]
    async with ground.place(cell, names) as place:
        loading = asyncio.ensure_future(place.load.run(names))
        try:
            since = await befall(cell, place, mails)
            await asyncio.wait_for(loading, HEALED)
            await place.closed(HEALED)
            seconds = asyncio.get_running_loop().time() - since
        finally:
            loading.cancel()
        return await compare(cell, place, seconds)


async def befall(cell: Cell, place: Place, mails: int) -> float:
    """Waits for the moment, does the harm, and undoes it. When it was over, on the loop's clock: a death is over at once."""
    loop = asyncio.get_running_loop()
    if place.clock is not None:
        await at_random(cell, place, mails)
        place.clock.jump(JUMPS[cell.how])
        return loop.time()
    part = place.parts[cell.part]
    if cell.moment == RANDOM:
        await at_random(cell, place, mails)
        if cell.how == CUT:
            await place.links[cell.part].cut()
        elif cell.how == STOP:
            await part.freeze()
    else:
        await part.sprung("stop" if cell.how == STOP else "kill", REACHED)
    if cell.how in (KILL, LOST):
        await part.kill()
    died = loop.time()
    await asyncio.sleep(SECONDS[cell.how])
    if cell.how == CUT:
        await place.links[cell.part].mend()
        return loop.time()
    if cell.how == STOP:
        await part.thaw()
        return loop.time()
    if cell.how == LOST and isinstance(part, Role):
        part.set(state_dir=str(part.house.folder / "another"))
    await part.start()
    return died


async def at_random(cell: Cell, place: Place, mails: int) -> None:
    """When some of it has come in or, where the part is behind that, has gone out."""
    count = random.randrange(mails // 10, mails // 2)
    if cell.part in ("api", "producer") and cell.deployment != 4:
        await until(lambda: len(place.load.accepted) >= count, REACHED)
    else:
        await until(lambda: place.sink.taken().total() >= count, REACHED)


async def compare(cell: Cell, place: Place, seconds: float) -> Books:
    """What the SMTP server took, against what the records say."""
    ends, taken = await place.ends(), place.sink.taken()
    accepted = place.load.accepted
    wrong = [f"{finding.id}: {finding.fault}" for finding in (await audit(place.store)).findings]
    lost = doubled = unknown = 0
    for address in accepted:
        records = ends.pop(address, [])
        copies = taken.pop(address, 0)
        uncertain = sum(each for _, each in records)
        states = [state for state, _ in records]
        lost += not copies and states != ["unknown"]
        doubled += copies > 1
        unknown += uncertain > 0
        if copies > 1 + uncertain:
            wrong.append(f"{address} came {copies} times, and its record says {uncertain} unknown")
        if len(records) != 1 or states[0] not in ("sent", "unknown"):
            wrong.append(f"{address} was accepted once, and its records are {states}")
    if ends or taken:
        wrong.append(f"{len(ends)} records and {len(taken)} addresses of nobody")
    if lost:
        wrong.append(f"{lost} lost")
    if doubled > cell.most_doubled:
        wrong.append(f"{doubled} doubled, where {cell.most_doubled} may be")
    return Books(len(accepted), lost, doubled, unknown, seconds, wrong)
