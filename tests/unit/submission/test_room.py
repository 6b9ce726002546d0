"""The room for large bodies: bounded, in order, and given back whatever becomes of who took it."""

import asyncio

import pytest

from posthouse.batch import Full
from posthouse.submission import room as module
from posthouse.submission.room import LARGE, Place, Room

MB = 1_000_000


async def turns() -> None:
    """Everything that can go on without time passing goes on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_small_bodies_are_not_asked() -> None:
    room = Room(10 * MB)
    await room.take(10 * MB)
    async with asyncio.timeout(1):
        await Place(room).claim(LARGE)


async def test_who_finds_no_room_waits_in_order() -> None:
    room, came = Room(10 * MB), list[str]()

    async def come(name: str, size: int) -> None:
        await room.take(size)
        came.append(name)

    await room.take(8 * MB)
    tasks = [asyncio.create_task(come(*each)) for each in (("a", 9 * MB), ("b", 2 * MB), ("c", 8 * MB))]
    await turns()
    assert came == [], "the small one behind must not pass the large one for ever"
    room.free(8 * MB)
    await turns()
    assert came == ["a"]
    room.free(9 * MB)
    await asyncio.gather(*tasks)
    assert came == ["a", "b", "c"]


async def test_a_body_larger_than_the_room_has_it_alone() -> None:
    room = Room(10 * MB)
    await room.take(30 * MB)
    second = asyncio.create_task(room.take(2 * MB))
    await turns()
    assert not second.done()
    room.free(30 * MB)
    await second


async def test_who_gives_up_takes_nothing_and_lets_those_behind_go() -> None:
    room = Room(10 * MB)
    await room.take(5 * MB)
    large, small = asyncio.create_task(room.take(9 * MB)), asyncio.create_task(room.take(2 * MB))
    await turns()
    large.cancel()
    await turns()
    assert small.done()
    await room.take(3 * MB)


async def test_who_gives_up_just_when_called_gives_it_back() -> None:
    room = Room(10 * MB)
    await room.take(10 * MB)
    called = asyncio.create_task(room.take(10 * MB))
    await turns()
    room.free(10 * MB)
    called.cancel()
    await asyncio.gather(called, return_exceptions=True)
    async with asyncio.timeout(1):
        await room.take(10 * MB)


async def test_without_room_in_time_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    room = Room(10 * MB)
    await room.take(10 * MB)
    with pytest.raises(Full):
        await room.take(2 * MB)


async def test_a_place_is_taken_once_and_left_once() -> None:
    room = Room(10 * MB)
    place = Place(room)
    await place.claim(6 * MB)
    await place.claim(10 * MB)
    place.leave()
    place.leave()
    async with asyncio.timeout(1):
        await room.take(10 * MB)
