"""Batcher: what comes together goes together; it is bounded, splits around a culprit, and never loses an item."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from posthouse.batch import Batcher, Full


class Away(Exception):
    """The other side does not answer."""


class Side:
    """The other side: keeps its batches; doubles each item; waits while `open` is not set; fails as `wrong` says."""

    def __init__(self, wrong: Callable[[list[int]], None] = lambda _: None) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self._wrong = wrong

    async def __call__(self, items: list[int]) -> Sequence[int]:
        self.batches.append(items)
        await self.open.wait()
        self._wrong(items)
        return [2 * item for item in items]


def culprits(*bad: int, error: type[Exception] = ValueError) -> Callable[[list[int]], None]:
    def wrong(items: list[int]) -> None:
        if any(item in bad for item in items):
            raise error(items)

    return wrong


async def test_what_is_added_in_one_turn_is_one_batch() -> None:
    side = Side()
    batcher = Batcher(side)
    futures = [batcher.add(number) for number in range(10)]
    assert await asyncio.gather(*futures) == [2 * number for number in range(10)]
    assert side.batches == [list(range(10))]


async def test_while_a_batch_is_in_the_air_the_next_gathers() -> None:
    side = Side()
    side.open.clear()
    batcher = Batcher(side)
    futures = [batcher.add(0)]
    for number in range(1, 6):
        await asyncio.sleep(0)
        futures.append(batcher.add(number))
    assert side.batches == [[0]]
    side.open.set()
    assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8, 10]
    assert side.batches == [[0], [1, 2, 3, 4, 5]]


async def test_an_idle_batcher_adds_no_delay() -> None:
    """An answer takes a handful of turns of the loop, and no timer."""
    batcher = Batcher(Side())
    future = batcher.add(1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert future.done()


async def test_a_batch_is_bounded_by_count() -> None:
    side = Side()
    batcher = Batcher(side, most=4)
    await asyncio.gather(*(batcher.add(number) for number in range(10)))
    assert [len(batch) for batch in side.batches] == [4, 4, 2]


async def test_a_batch_is_bounded_by_weight_and_the_heavy_go_alone() -> None:
    side = Side()
    batcher = Batcher(side, weight=10, weigh=lambda item: item)
    await asyncio.gather(*(batcher.add(item) for item in (4, 6, 1, 50, 9, 1, 1)))
    assert side.batches == [[4, 6], [50], [1, 9], [1, 1]]


async def test_light_items_wait_for_one_heavy_at_most_and_heavy_ones_for_one_batch() -> None:
    side = Side()
    side.open.clear()
    batcher = Batcher(side, most=2, weight=10, weigh=lambda item: item)
    futures = [batcher.add(item) for item in (50, 60, 70)]
    await asyncio.sleep(0)
    futures += [batcher.add(item) for item in (1, 2, 3, 4)]
    side.open.set()
    await asyncio.gather(*futures)
    assert side.batches == [[50], [1, 2], [60], [3, 4], [70]]


async def test_a_full_buffer_says_so_at_once_and_has_room_again() -> None:
    side = Side()
    side.open.clear()
    batcher = Batcher(side, most=1, room=3)
    futures = [batcher.add(0)]
    await asyncio.sleep(0)
    futures += [batcher.add(number) for number in (1, 2, 3)]
    with pytest.raises(Full):
        batcher.add(4)
    side.open.set()
    assert await asyncio.gather(*futures) == [0, 2, 4, 6]
    assert await batcher.add(5) == 10


async def test_room_is_bounded_by_weight_too_but_something_always_fits() -> None:
    side = Side()
    side.open.clear()
    batcher = Batcher(side, room_weight=10, weigh=lambda item: item)
    futures = [batcher.add(99)]
    await asyncio.sleep(0)
    futures.append(batcher.add(99))
    with pytest.raises(Full):
        batcher.add(1)
    side.open.set()
    assert await asyncio.gather(*futures) == [198, 198]


@pytest.mark.parametrize("bad", [(0,), (7,), (3, 4), (0, 5, 9), tuple(range(10))])
async def test_only_the_culprits_of_a_batch_fail(bad: tuple[int, ...]) -> None:
    batcher = Batcher(Side(culprits(*bad)))
    results = await asyncio.gather(*(batcher.add(number) for number in range(10)), return_exceptions=True)
    for number, result in enumerate(results):
        assert isinstance(result, ValueError) if number in bad else result == 2 * number


async def test_when_the_other_side_is_away_all_fail_without_splitting() -> None:
    side = Side(culprits(3, error=Away))
    batcher = Batcher(side, away=(Away,))
    results = await asyncio.gather(*(batcher.add(number) for number in range(10)), return_exceptions=True)
    assert all(isinstance(result, Away) for result in results)
    assert len(side.batches) == 1
    assert await batcher.add(4) == 8


@pytest.mark.parametrize("answer", [[], [1], [1, 2, 3, 4]])
async def test_an_answer_of_the_wrong_length_is_an_error_and_leaves_nobody_waiting(answer: list[int]) -> None:
    async def call(items: list[int]) -> list[int]:
        return answer if len(items) == 3 else [2 * item for item in items]

    batcher = Batcher(call)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(batcher.add(number) for number in range(3))) == [0, 2, 4]

    async def nothing(items: list[int]) -> list[int]:
        return []

    with pytest.raises(ValueError):
        await asyncio.wait_for(Batcher(nothing).add(1), 5)


async def test_a_caller_that_goes_away_harms_nobody() -> None:
    side = Side()
    side.open.clear()
    batcher = Batcher(side)
    gone, stays = batcher.add(1), batcher.add(2)
    await asyncio.sleep(0)
    gone.cancel()
    side.open.set()
    assert await stays == 4
    assert side.batches == [[1, 2]]


async def test_drain_waits_for_all_of_it() -> None:
    side = Side()
    batcher = Batcher(side, most=2)
    await batcher.drain()
    futures = [batcher.add(number) for number in range(7)]
    await batcher.drain()
    assert all(future.done() for future in futures)
