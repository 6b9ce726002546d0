"""Who hears of new mail: the queue of the process by its kind, and every listener once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from posthouse.mail.message import Lane, Message, Recipient
from posthouse.records.wake import Wake


def message(lane: Lane = "transactional") -> Message:
    return Message(id="id", message_id="<id@x>", lane=lane, recipients=[Recipient("a@b.c")])


@pytest.mark.parametrize(
    ("queue", "accepted", "stored"),
    [
        ("store:", 1, 1),
        ("redis://host?queue=email", 1, 0),
        ("amqp://host", 0, 0),
        ("amqps://host", 0, 0),
    ],
)
def test_the_queue_is_told_where_nobody_else_tells_it(queue: str, accepted: int, stored: int) -> None:
    told: list[object] = []
    wake = Wake(told.append, queue)
    wake.accepted([message()])
    assert len(told) == accepted
    wake.stored([message()])
    assert len(told) == accepted + stored


async def test_listeners_hear_each_lane_once_however_much_came() -> None:
    wake = Wake(lambda messages: None, "amqp:")
    heard: list[list[Lane]] = [[], []]

    async def listen(lanes: AsyncIterator[Lane], into: list[Lane]) -> None:
        async for lane in lanes:
            into.append(lane)

    tasks = [asyncio.create_task(listen(wake.listen(), into)) for into in heard]
    await asyncio.sleep(0)
    wake.accepted([message("bulk"), message("transactional")])
    wake.stored([message("bulk")])
    await asyncio.sleep(0.01)
    wake.accepted([message("bulk")])
    wake.close()
    await asyncio.gather(*tasks)
    assert heard == [["transactional", "bulk", "bulk"]] * 2
