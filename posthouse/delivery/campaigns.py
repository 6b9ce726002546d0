"""Campaigns at work in one process: looked for in the catalog, by priority, so many at once.

Rules: the catalog alone says what is to be done, and is asked every LOOK seconds; a queue's job only shows it (`follow`).
A campaign whose mail all waits for later takes no place from others. What is claimed of a campaign that was paused or
canceled meanwhile, and that no connection has taken yet, is given back.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Sequence
from typing import NamedTuple

import structlog

from posthouse.delivery.audience import Builder, People
from posthouse.delivery.clock import elapsed_clock, wall_clock
from posthouse.delivery.hands import Hands
from posthouse.delivery.manner import FindMade
from posthouse.delivery.turns import Turns
from posthouse.mail.campaign import Campaign, Counts
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import SECOND
from posthouse.queue.base import Course
from posthouse.store.base import Store
from posthouse.store.catalog.campaigns import Campaigns, Impossible, MakeDraft

LOOK = 0.5
"""Seconds between two looks at the catalog: a pause holds everywhere within a second."""
THOROUGH = 2
"""Every so many looks those that had nothing due are asked again, and whether they are complete."""
MOST = 100
"""Campaigns that a look asks for."""
PUT_BACK = 5.0
"""Seconds after which the job of a campaign that is not at work here may come again."""
LONGEST_WAIT = 3600.0
LONGEST_REST = 60.0
"""Seconds that one whose building fails again and again rests between two tries."""


class Bulk(NamedTuple):
    """What a worker needs to send campaigns: where they are, what makes the mail of a person, who finds a version of a
    template, how many `jobs` at once, and where `people` are who are no contacts."""

    campaigns: Campaigns
    make: MakeDraft
    find: FindMade
    jobs: int = 5
    people: People | None = None


def campaign_work(bulk: Bulk, store: Store, hands: Hands) -> "CampaignWork":
    """Puts it together; `turns.run` and `look` are to be run."""
    builder = Builder(bulk.campaigns, bulk.make, bulk.people)
    return CampaignWork(bulk.campaigns, builder, Turns(store, hands, builder.draw), hands, bulk.jobs)


class CampaignWork:
    """See the module. `jobs` is how many at once; `look` goes on until cancelled."""

    def __init__(self, campaigns: Campaigns, builder: Builder, turns: Turns, hands: Hands, jobs: int) -> None:
        self._campaigns, self._builder, self.turns, self._hands = campaigns, builder, turns, hands
        self._jobs = jobs
        self._looks = 0
        self._here: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stumbled: dict[str, tuple[int, float]] = {}
        self._sooner = asyncio.Event()
        self._log = structlog.get_logger("delivery")

    async def look(self) -> None:
        """Looks, every LOOK seconds."""
        try:
            while True:
                self._sooner.clear()
                try:
                    await self._look()
                except StoreAway as error:
                    self._log.warning("store away", during="look for campaigns", why=str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._sooner.wait()
        finally:
            self._end_tasks(self._tasks.keys())

    async def follow(self, id: str) -> Course | None:
        """How far a campaign is, for its job in the queue. Raises StoreAway."""
        found = await self._campaigns.campaign(id)
        if found is None:
            return None
        campaign, counts = found
        if campaign.completed_at is not None or campaign.phase == "canceled":
            return Course(percent=counts.progress, over=True)
        if id in self._here:
            return Course(percent=_percent(campaign, counts))
        wait = ((campaign.scheduled_at or 0) - wall_clock()) / SECOND
        if campaign.phase in ("waiting", "running") and wait <= 0 and len(self._here) < self._jobs:
            self._sooner.set()
            return Course(percent=_percent(campaign, counts))
        return Course(wait=min(max(wait, PUT_BACK), LONGEST_WAIT))

    async def _look(self) -> None:
        found = await self._campaigns.working(MOST)
        canceled = [each for each in found if each.phase == "canceled"]
        chosen = self._choose(each for each in found if each.phase != "canceled")
        self._here = {each.id for each in chosen}
        self._stumbled = {each.id: self._stumbled[each.id] for each in found if each.id in self._stumbled}
        self._keep_tasks([*canceled, *chosen])
        running = [each for each in chosen if each.phase == "running"]
        await self._recall({each.id for each in found if each.phase == "running"})
        self._looks += 1
        thorough = self._looks % THOROUGH == 0
        if thorough:
            await self._finish([*canceled, *running])
        self.turns.set(running, afresh=thorough)

    def _choose(self, found: Iterable[Campaign]) -> list[Campaign]:
        """As many as may be at work here, and beside them those whose mail all waits for later."""
        chosen: list[Campaign] = []
        left = self._jobs
        for each in found:
            idle = each.ready and each.id in self.turns.empty
            if idle or left > 0:
                chosen.append(each)
                left -= not idle
        return chosen

    def _keep_tasks(self, campaigns: Sequence[Campaign]) -> None:
        """One for each that is to be built or closed."""
        self._end_tasks(self._tasks.keys() - {each.id for each in campaigns})
        for each in campaigns:
            if each.id in self._tasks or (each.ready and each.phase != "canceled") or self._rests(each.id):
                continue
            work = self._builder.close(each) if each.phase == "canceled" else self._build(each)
            task = asyncio.get_running_loop().create_task(self._guarded(each.id, work))
            self._tasks[each.id] = task

    def _build(self, campaign: Campaign) -> Coroutine[None, None, None]:
        id = campaign.id
        return self._builder.build(campaign, lambda: self.turns.filled(id), lambda: self.turns.draws(id))

    async def _guarded(self, id: str, work: Coroutine[None, None, None]) -> None:
        """Whatever goes wrong, a later look tries again."""
        try:
            await work
            self._stumbled.pop(id, None)
        except Impossible:
            pass  # somebody paused or canceled it since the look
        except StoreAway as error:
            self._log.warning("store away", during="campaign", id=id, why=str(error))
            self._stumble(id)
        except Exception:
            self._log.exception("campaign stumbled", id=id)
            self._stumble(id)
        finally:
            if self._tasks.get(id) is asyncio.current_task():
                del self._tasks[id]

    def _stumble(self, id: str) -> None:
        times = self._stumbled.get(id, (0, 0.0))[0] + 1
        self._stumbled[id] = times, elapsed_clock() + min(LOOK * 2 ** min(times - 1, 10), LONGEST_REST)

    def _rests(self, id: str) -> bool:
        return id in self._stumbled and elapsed_clock() < self._stumbled[id][1]

    def _end_tasks(self, ids: Iterable[str]) -> None:
        for id in [*ids]:
            self._tasks.pop(id).cancel()

    async def _recall(self, running: set[str]) -> None:
        """Gives back what is not begun of those that go on no longer."""
        held = {attempt.message.campaign for attempt in self._hands.held.values()}
        stopped: set[str | None] = set()
        for id in held - running - {None}:
            found = await self._campaigns.campaign(id or "")
            if found is None or found[0].phase != "running":
                stopped.add(id)
        if stopped:
            attempts = self._hands.held.values()
            self._hands.recall({each.id for each in attempts if each.message.campaign in stopped})

    async def _finish(self, campaigns: Sequence[Campaign]) -> None:
        """Of those that have nothing due: mail that cost several workers goes alone now; and are they complete?"""
        held = {attempt.message.campaign for attempt in self._hands.held.values()}
        for each in campaigns:
            if not each.ready or each.id in held:
                continue
            if each.phase == "running":
                if each.id not in self.turns.empty:
                    continue
                if not self._hands.has_lonely and self._hands.room("bulk") > 0:
                    await self._hands.claim("bulk", 1, campaign=each.id, alone=True)
            if await self._campaigns.complete(each.id) is not None:
                self._log.info("campaign over", id=each.id, phase=each.phase)


def _percent(campaign: Campaign, counts: Counts) -> int:
    return counts.progress if campaign.ready or counts.open else 0
