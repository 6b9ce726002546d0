"""The room for large bodies: how many bytes of them may be in memory at once. Small ones are not asked.

Who finds no room waits in line before the body is read, so that the sender is held up and not we; after PATIENCE
seconds it is told to come again.
"""

import asyncio
from collections import deque

from posthouse.batch import Full

LARGE = 1_000_000
"""Bytes from which a body needs room."""
ROOM = 128 << 20
PATIENCE = 30.0
"""Seconds that a large body waits for room."""


class Room:
    """`most` bytes in all; a body that is larger than that has it alone."""

    def __init__(self, most: int = ROOM) -> None:
        self._most, self._taken = most, 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Waits for its turn; raises Full when that does not come in time."""
        if not self._line and self._fits(size):
            self._taken += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        try:
            async with asyncio.timeout(PATIENCE):
                await turn
        except BaseException as error:
            self._step_out(size, turn)
            if isinstance(error, TimeoutError):
                raise Full from None
            raise

    def free(self, size: int) -> None:
        """So much is no longer in memory."""
        self._taken -= size
        self._call_next()

    def _call_next(self) -> None:
        while self._line and (self._line[0][1].done() or self._fits(self._line[0][0])):
            size, turn = self._line.popleft()
            if not turn.done():
                self._taken += size
                turn.set_result(None)

    def _step_out(self, size: int, turn: "asyncio.Future[None]") -> None:
        """Somebody in the line gave up, perhaps in the moment when it was called; those behind may now fit."""
        if turn.done() and not turn.cancelled():
            self.free(size)
        else:
            turn.cancel()
            self._call_next()

    def _fits(self, size: int) -> bool:
        return self._taken == 0 or self._taken + size <= self._most


class Place:
    """What one request takes of a room, nothing at first."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room) -> None:
        self._room, self._size = room, 0

    async def claim(self, size: int) -> None:
        """Takes room if the body is large, once; raises Full."""
        if size > LARGE and not self._size:
            await self._room.take(size)
            self._size = size

    def leave(self) -> None:
        """Gives back what was taken."""
        if self._size:
            self._room.free(self._size)
            self._size = 0
