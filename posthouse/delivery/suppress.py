"""Suppress: mail is held back from whoever is on the suppression list: when it is loaded, and twice a second while it
waits for a connection. And whom a server does not know is put on it.

Rules: an empty list costs nothing, another a question for each chunk. A list that is away lets nothing pass: the mail
waits. What a server says of an address counts for bulk alone: it must not stop the receipt that somebody asks for, and
what a person sends again all the same is sent (mail.suppression).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

import structlog

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.outcome import NO_SUCH_ADDRESS
from posthouse.mail.suppression import MAX_NOTE, Suppression
from posthouse.suppressed import Asked, SuppressionList

TURN = 0.5
"""Seconds between two looks at what waits."""
FRESH = 0.5
"""Seconds for which the look at a mail that was just claimed is good."""
MOST = 10_000
"""Unknown addresses that may wait for a list that is away; beyond, the oldest are left to the next mail."""
BY = "worker"
"""Who did it, as the trail has it."""


async def held_back(suppressed: SuppressionList, attempts: Iterable[Attempt]) -> dict[str, dict[str, str]]:
    """Which recipients of these are not to be mailed, and why, by the attempts' ids. Raises StoreAway."""
    covered = [attempt for attempt in attempts if suppressed.covers(attempt.lane)]
    asked: list[Asked] = [(attempt.lane, email) for attempt in covered for email in attempt.recipients]
    found = await suppressed.find(asked) if asked else {}
    held = {attempt.id: _why(attempt, found) for attempt in covered} if found else {}
    return {id: why for id, why in held.items() if why}


def _why(attempt: Attempt, found: dict[Asked, Suppression]) -> dict[str, str]:
    listed = {email: found.get((attempt.lane, email)) for email in attempt.recipients}
    return {
        email: entry.text
        for email, entry in listed.items()
        if entry is not None and entry.concerns(attempt.message, email)
    }


class Suppressor:
    """See the module. `held` gives what this process has in hand, `recall` gives back what of it waits; `watch` is to be
    run."""

    def __init__(
        self,
        suppressed: SuppressionList,
        held: Callable[[], Iterable[Attempt]],
        recall: Callable[[Collection[str]], None],
    ) -> None:
        self._suppressed, self._held, self._recall = suppressed, held, recall
        self._unknown: deque[Suppression] = deque(maxlen=MOST)

    async def watch(self) -> None:
        """Looks at what waits, until cancelled."""
        while True:
            await asyncio.sleep(TURN)
            try:
                await self.look()
                await self.flush()
            except StoreAway as error:
                structlog.get_logger("delivery").warning(
                    "store away", during="suppression list", why=str(error)
                )

    async def look(self) -> None:
        """Gives back what waits for somebody who has come onto the list: when it is claimed again it is held back."""
        before = elapsed_clock() - FRESH
        waiting = [attempt for attempt in self._held() if not attempt.begun and attempt.started < before]
        found = await held_back(self._suppressed, waiting)
        if found:
            self._recall(found.keys())

    def heard(self, attempt: Attempt, settlement: Settlement) -> None:
        """An attempt is over: whom the server does not know is to be put on the list."""
        if attempt.lane != "bulk":
            return
        for email, decision in settlement.decisions.items():
            outcome = decision.outcome
            if decision.event == "fail" and outcome.enhanced_code in NO_SUCH_ADDRESS:
                entry = Suppression(email=email, lane="bulk", reason="bounced", note=outcome.text[:MAX_NOTE])
                self._unknown.append(entry)

    async def flush(self) -> None:
        """Puts them on it. Raises StoreAway: then they are kept for the next time."""
        entries: Sequence[Suppression] = list(self._unknown)
        if entries:
            await self._suppressed.add(entries, BY)
            for _ in entries:
                self._unknown.popleft()
