"""The suppression list as one process knows it: whom a batch of mail must not go to.

Rules: the catalog is asked every EVERY seconds which lanes have entries at all, so that an empty list costs no mail
anything; where there are some it is asked once for a batch, never for a mail. What is added holds everywhere within a
second.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, Lane
from posthouse.mail.suppression import SLICE, Suppression

EVERY = 0.5
"""Seconds between two looks."""

Asked = tuple[Lane, str]
"""An address that is to be mailed in a lane."""


class Entries(Protocol):
    """What is asked of a catalog (store.catalog.suppressions)."""

    async def suppressing(self) -> list[Lane]: ...
    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]: ...
    async def suppress(self, entries: Sequence[Suppression], by: str) -> int: ...


class _Nobody:
    """The list where there is no catalog."""

    async def suppressing(self) -> list[Lane]:
        return []

    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]:
        return {}

    async def suppress(self, entries: Sequence[Suppression], by: str) -> int:
        return 0


class SuppressionList:
    """See the module. Until the first look every lane may have entries; without a catalog none ever has."""

    def __init__(self, entries: Entries | None = None, every: float = EVERY) -> None:
        self._entries, self._every = entries or _Nobody(), every
        self._lanes: frozenset[Lane] = frozenset(() if entries is None else LANES)
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Looks, and goes on looking; raises StoreAway."""
        await self.look()
        self._looking = asyncio.get_running_loop().create_task(self._look_on())

    async def stop(self) -> None:
        """Ends that."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def look(self) -> None:
        """Which lanes have entries; raises StoreAway."""
        self._lanes = frozenset(await self._entries.suppressing())

    def covers(self, lane: Lane) -> bool:
        """Whether mail of a lane is to be asked for at all."""
        return lane in self._lanes

    async def find(self, asked: Iterable[Asked]) -> dict[Asked, Suppression]:
        """Those that are not to be mailed, with what says so: a question for each lane. Raises StoreAway."""
        lanes: dict[Lane, list[str]] = {}
        for lane, email in asked:
            if lane in self._lanes:
                lanes.setdefault(lane, []).append(email)
        found: dict[Asked, Suppression] = {}
        for lane, emails in lanes.items():
            suppressed = await self._entries.suppressed(emails, lane)
            found |= {(lane, email): entry for email, entry in suppressed.items()}
        return found

    async def add(self, entries: Sequence[Suppression], by: str) -> int:
        """Adds entries, however many; they hold here at once. How many are new or last longer now. Raises StoreAway."""
        count = 0
        for start in range(0, len(entries), SLICE):
            count += await self._entries.suppress(entries[start : start + SLICE], by)
        self._lanes = self._lanes.union(*(entry.lanes for entry in entries))
        return count

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.look()
            except StoreAway as error:
                structlog.get_logger().warning("suppression list not looked at", why=str(error))
            except Exception:  # a bug in one look must not end it for ever
                structlog.get_logger().exception("suppression list stumbled")
