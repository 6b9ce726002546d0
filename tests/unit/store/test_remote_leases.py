"""A claim whose answer was lost: what it leased is handed back, and nothing else is."""

import asyncio
from collections.abc import Sequence

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Message, Recipient
from posthouse.store.remote.leases import Leases


def leased(id: str, fence: int = 1) -> Message:
    return Message(
        id=id, message_id=f"<{id}@x>", recipients=[Recipient("a@b.c", state="sending")], fence=fence
    )


class Away:
    """The other side as Leases sees it: what an owner holds there, and what was handed back."""

    def __init__(self) -> None:
        self.holds: list[Message] = []
        self.released: list[tuple[str, int]] = []
        self.leases = Leases(self.held, self.release)

    async def held(self, owner: str) -> list[Message]:
        return self.holds

    async def release(self, leases: Sequence[tuple[str, int]], wait: float) -> None:
        self.released += leases

    async def claim(self, *messages: Message) -> list[Message]:
        async def answer() -> list[Message]:
            self.holds += messages
            return list(messages)

        return await self.leases.ask("worker", answer)

    async def lose(self, *messages: Message) -> None:
        """A claim that is done, and not answered."""

        async def answer() -> list[Message]:
            self.holds += messages
            raise StoreAway("cut off")

        with pytest.raises(StoreAway):
            await self.leases.ask("worker", answer)


async def test_what_a_lost_answer_leased_is_handed_back_before_the_next_claim() -> None:
    away = Away()
    await away.claim(leased("known"))
    await away.lose(leased("lost"), leased("lost too"))
    assert away.released == []
    await away.claim(leased("next"))
    assert away.released == [("lost", 1), ("lost too", 1)]
    await away.claim()
    assert len(away.released) == 2


async def test_a_lease_of_an_older_fence_is_not_the_one_that_was_answered() -> None:
    away = Away()
    await away.claim(leased("mail", 1))
    away.leases.over(["mail"])
    away.holds.clear()
    await away.lose(leased("mail", 2))
    await away.claim()
    assert away.released == [("mail", 2)]


async def test_nobody_is_asked_while_a_claim_is_in_the_air() -> None:
    """What it leases is already held there, and its answer is on its way."""
    away = Away()
    answered, message = asyncio.Event(), leased("in the air")

    async def slow() -> list[Message]:
        away.holds.append(message)
        await answered.wait()
        return [message]

    in_air = asyncio.create_task(away.leases.ask("worker", slow))
    await asyncio.sleep(0)
    await away.lose(leased("lost"))
    await away.claim(leased("next"))
    assert away.released == []
    answered.set()
    await in_air
    await away.claim()
    assert away.released == [("lost", 1)]


async def test_while_the_other_side_is_away_it_stays_doubtful() -> None:
    away = Away()
    await away.lose(leased("lost"))

    async def no_answer(owner: str) -> list[Message]:
        raise StoreAway("still")

    away.leases = doubtful = Leases(no_answer, away.release)
    await away.lose(leased("more"))
    with pytest.raises(StoreAway):
        await doubtful.ask("worker", lambda: away.held("worker"))


async def test_what_somebody_else_settled_is_forgotten_unless_it_was_leased_anew() -> None:
    """With POSTHOUSE_REPORT=events it is not the worker that settles."""
    away = Away()
    await away.claim(leased("settled"), leased("again"))
    told = away.leases.of(["settled", "again", "unknown"])
    assert told == {"settled": 1, "again": 1}
    await away.claim(leased("again", 2))
    away.leases.ended(told.items())
    assert away.leases.of(["settled", "again"]) == {"again": 2}
