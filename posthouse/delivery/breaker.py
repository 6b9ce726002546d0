"""A breaker per transport: stops handing mail to a next hop that cannot be used, and finds out when it can.

Open after three failures of the transport in a row; then a probe (connect, greet) every so often decides, never a
mail. Any word from the other side about a mail closes the count. With `outage` 0 it only counts and never opens.
The wait for a probe doubles until there is such a word: a hop that greets probes and turns mail away is asked no more often
than one that is gone.
"""

import asyncio
from collections.abc import Callable

from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.errors import TransportAway
from posthouse.mail.outcome import Outcome
from posthouse.transport.base import Transport

FAILURES = 3
PROBE_FIRST = 0.25
PROBE_MOST = 10.0


class Breaker:
    """Watches one transport. `closed` is set while mail may be handed to it; `openings` counts how often it was
    not any more; `told` is called at every turn."""

    def __init__(self, transport: Transport, outage: float, told: Callable[[str, str], None]) -> None:
        self.transport = transport
        self.closed = asyncio.Event()
        self.closed.set()
        self.openings = 0
        self._outage = outage
        self._told = told
        self._failures = 0
        self._pause = PROBE_FIRST
        self._away_since: float | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def away(self) -> float:
        """Seconds since the first of the failures in a row; 0 while there is none."""
        return 0.0 if self._away_since is None else elapsed_clock() - self._away_since

    def note(self, outcome: Outcome) -> None:
        """Learns from an outcome of the transport's. Mail that was only handed back says nothing about the other side,
        unless that hung up on us: it would do so for ever, and cost nobody an attempt."""
        if outcome.spends == "nothing" and outcome.category != "network":
            return
        if outcome.scope != "transport":
            self._failures, self._away_since, self._pause = 0, None, PROBE_FIRST
            return
        self._failures += 1
        self._away_since = elapsed_clock() if self._away_since is None else self._away_since
        if self._failures >= FAILURES and self._outage > 0 and self._probing is None:
            self._open(outcome.text)

    async def stop(self) -> None:
        """Ends probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    def _open(self, why: str) -> None:
        self.openings += 1
        self.closed.clear()
        self._told("transport away", why)
        self._probing = asyncio.get_running_loop().create_task(self._probe())
        self.transport.recall()

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, PROBE_MOST)
            try:
                await self.transport.probe()
                break
            except TransportAway:
                continue
            except Exception as error:  # a probe that stumbles must not leave it open for ever
                self._told("probe failed", repr(error))
                continue
        self._failures, self._away_since, self._probing = 0, None, None
        self.closed.set()
        self._told("transport back", "")
