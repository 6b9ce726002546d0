"""The hints of a lane reach the handler together, as many as are worth a call."""

import asyncio

from posthouse.queue.base import Hint, Taken
from posthouse.queue.lane import ENOUGH, LaneQueue


async def test_what_gathers_is_handed_over_in_calls_of_enough() -> None:
    lane, calls = LaneQueue("transactional"), list[tuple[str, ...]]()

    async def handler(hint: Hint) -> Taken:
        calls.append(hint.ids)
        return Taken(hint.ids)

    some = ENOUGH // 2
    hints = [Hint("transactional", tuple(f"{n}-{each}" for each in range(some))) for n in range(5)]
    async with asyncio.TaskGroup() as group:
        takes = [group.create_task(lane.take(hint)) for hint in [*hints, Hint("transactional")]]
        await asyncio.sleep(0)
        handing = group.create_task(lane.hand_over(handler))
        taken = await asyncio.gather(*takes)
        handing.cancel()
    assert calls == [hints[0].ids + hints[1].ids, hints[2].ids + hints[3].ids, hints[4].ids, ()]
    assert [each.count for each in taken] == [2 * some] * 4 + [some, 0]
