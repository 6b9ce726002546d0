"""The second door: whose lease lapsed while the store did not answer has it for a while yet."""

import asyncio
from pathlib import Path
from typing import Any

from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.hands import Hands, WorkerOptions
from posthouse.delivery.second_door import SecondDoor
from posthouse.mail.retry import Policy
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import draft, record
from tests.unit.delivery.parts import Hop, eventually

LEASE = 0.2
BREAK = 0.5
"""Seconds that the store waits out, rather than say that it is away."""


async def test_a_look_that_spans_a_break_of_the_store_takes_nothing_over(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    options = WorkerOptions(owner="next", state_dir=tmp_path, lease=LEASE)
    hands = Hands(store, [Hop()], Policy(), options, lambda *_: None, None)
    await hands.start()
    door = SecondDoor(store, hands, Policy(), options)
    walks = looks = 0
    expired, sweep = store.expired, store.sweep

    async def answered_late(*arguments: Any) -> Any:
        nonlocal walks
        walks += 1
        await asyncio.sleep(BREAK if walks == 2 else 0)
        return await expired(*arguments)

    async def seen() -> None:
        nonlocal looks
        await sweep()
        looks = walks

    store.expired, store.sweep = answered_late, seen
    await store.save([draft()])
    looking = asyncio.create_task(door.look())
    try:
        (message,) = await store.claim("holder", 1, LEASE)
        await eventually(lambda: looks == 2)
        assert (await record(store, message.id)).owner == "holder"
        await eventually(lambda: looks == 4)
        await hands.settler.drain(5)
        assert (await record(store, message.id)).uncertain == 1
    finally:
        looking.cancel()
        await hands.close(elapsed_clock())
        await store.stop()
