"""How fast a campaign goes: from what was seen of its counts lately, bounded in memory and never asked of the store."""

from collections import OrderedDict, deque
from collections.abc import Callable

from posthouse.mail.campaign import Campaign, Counts

SPAN = 10.0
"""Seconds that the rate looks back."""
MOST = 200
"""Campaigns that are remembered, and looks at each."""


class Pace:
    """`clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def of(self, campaign: Campaign, counts: Counts) -> float | None:
        """Recipients closed in a second between the first and the last look of the last SPAN seconds; None where there
        was no look before this one."""
        now, closed = self._clock(), counts.total - counts.open
        looks = self._seen.setdefault(campaign.id, deque(maxlen=MOST))
        self._seen.move_to_end(campaign.id)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        while len(looks) > 1 and looks[1][0] <= now - SPAN:
            looks.popleft()
        looks.append((now, closed))
        since, before = looks[0]
        return max(0.0, (closed - before) / (now - since)) if now - since > 0 else None
