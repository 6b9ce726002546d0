"""The rate of a transport: even starts in one process, one sum over several."""

import asyncio

from posthouse.mail.errors import StoreAway
from posthouse.rate import Leased, Rate, Window, take
from posthouse.transport.pace import Pace, SharedPace


def test_starts_are_evenly_spaced() -> None:
    pace, now, starts = Pace(10.0), 100.0, 0
    while now < 101.0:
        wait = pace.start(now)
        starts += wait == 0
        now += wait or 0.001
    assert 9 <= starts <= 11


def test_a_late_timer_does_not_lower_the_rate_and_a_rest_saves_nothing_up() -> None:
    pace = Pace(1000.0)
    assert pace.start(100.0) == 0
    granted = [pace.start(105.0) == 0 for _ in range(200)]
    assert 40 <= sum(granted) <= 60


class Bank:
    """The store's side, on a clock of its own."""

    def __init__(self) -> None:
        self.now, self.asked, self.away = 0.0, 0, False
        self.window: Window | None = None

    async def lease(self, wanted: int, rate: Rate) -> Leased:
        self.asked += 1
        if self.away:
            raise StoreAway("gone")
        self.window, leased = take(self.window, rate, wanted, self.now)
        return leased


async def starts(paces: list[SharedPace], bank: Bank, seconds: float, step: float = 0.01) -> int:
    """How many start, when each process asks as often as it can, on the bank's clock."""
    count, ends = 0, bank.now + seconds
    while bank.now < ends:
        for pace in paces:
            while pace.start(bank.now) == 0:
                count += 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        bank.now += step
    return count


async def test_processes_share_a_rate() -> None:
    bank = Bank()
    paces = [SharedPace(100.0, bank.lease) for _ in range(3)]
    assert 900 <= await starts(paces, bank, 10.0) <= 1100
    assert bank.asked <= 10 * 3 * 5


async def test_one_of_them_alone_has_all_of_it() -> None:
    bank = Bank()
    paces = [SharedPace(50.0, bank.lease) for _ in range(2)]
    assert await starts(paces[:1], bank, 10.0) >= 400


async def test_a_rate_below_one_a_second_holds() -> None:
    bank = Bank()
    assert 1 <= await starts([SharedPace(0.1, bank.lease) for _ in range(2)], bank, 40.0, step=0.1) <= 6


async def test_while_the_store_is_away_nothing_starts() -> None:
    bank = Bank()
    bank.away = True
    pace = SharedPace(100.0, bank.lease)
    assert await starts([pace], bank, 0.5) == 0
    bank.away = False
    pace._not_before = 0.0
    assert await starts([pace], bank, 1.0) > 0
