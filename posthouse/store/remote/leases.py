"""Claims whose answer was lost: what they leased nobody works on, and it is handed back.

Rules: an owner is asked about (`held`) only while no claim is in the air, and no claim begins meanwhile, so that none is
taken for lost that is just being answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Message


class Leases:
    """Knows which leases were answered. `held` and `release` are the port's."""

    def __init__(
        self,
        held: Callable[[str], Awaitable[list[Message]]],
        release: Callable[[Sequence[tuple[str, int]], float], Awaitable[None]],
    ) -> None:
        self._held, self._release = held, release
        self._answered: dict[str, int] = {}
        self._doubtful: set[str] = set()
        self._in_air = 0
        self._mending = asyncio.Lock()

    async def ask(self, owner: str, claim: Callable[[], Awaitable[list[Message]]]) -> list[Message]:
        """A claim of an owner."""
        async with self._mending:
            if self._doubtful and not self._in_air:
                await self._mend()
            self._in_air += 1
        try:
            leased = await claim()
        except (StoreAway, asyncio.CancelledError):
            self._doubtful.add(owner)
            raise
        finally:
            self._in_air -= 1
        self._answered.update((message.id, message.fence) for message in leased)
        return leased

    def over(self, ids: Iterable[str]) -> None:
        """These were settled or handed back."""
        for id in ids:
            self._answered.pop(id, None)

    def of(self, ids: Iterable[str]) -> dict[str, int]:
        """The fences of those of these that were leased."""
        return {id: self._answered[id] for id in ids if id in self._answered}

    def ended(self, leases: Iterable[tuple[str, int]]) -> None:
        """Somebody else settled these; what was leased anew meanwhile is another lease."""
        for id, fence in leases:
            if self._answered.get(id) == fence:
                self.over([id])

    async def _mend(self) -> None:
        for owner in list(self._doubtful):
            lost = [
                (message.id, message.fence)
                for message in await self._held(owner)
                if self._answered.get(message.id) != message.fence
            ]
            await self._release(lost, 0.0)
            self._doubtful.discard(owner)
