"""The audit of a store: every record could have come about, what is kept beside it agrees, and the counts add up.

Rules: it walks one snapshot in slices, so it needs little memory and holds up no writer. A finding names the record by
its id and says what is wrong, without content or address. It mends nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from posthouse.mail.audit import faults
from posthouse.mail.lifecycle import OPEN
from posthouse.store.base import Beside, Kept, Snapshot, Store
from posthouse.store.tally import AUDIENCE, CAMPAIGN, GONE, Tally, campaign_counter

SLICE = 500
"""Records of a slice."""
FINDINGS = 1000
"""Findings that are listed at most; beyond them they are only counted."""


class Finding(msgspec.Struct, frozen=True):
    """Something wrong: with the message `id`, or with the store as a whole (None)."""

    id: str | None
    fault: str


class Audited(msgspec.Struct):
    """What an audit saw: how many `records`, how many things were `wrong`, and the first FINDINGS of them."""

    records: int = 0
    wrong: int = 0
    findings: list[Finding] = []

    def note(self, id: str | None, fault: str) -> None:
        """One more thing that is wrong."""
        self.wrong += 1
        if len(self.findings) < FINDINGS:
            self.findings.append(Finding(id, fault))


async def audit(store: Store) -> Audited:
    """Looks at everything once. Raises StoreAway."""
    seen = Audited()
    async with store.snapshot() as snapshot:
        tally = await _records(snapshot, seen)
        _campaigns(await snapshot.campaigns(), tally, seen)
        _counters(await snapshot.counters(), tally.sums, seen)
        for stray in await snapshot.strays(FINDINGS):
            seen.note(None, f"a {stray.kind} is kept for record {stray.name}, which is not there")
    return seen


async def _records(snapshot: Snapshot, seen: Audited) -> Tally:
    """Walks all records; what the counters should be."""
    tally = Tally()
    after: str | None = None
    while kept := await snapshot.walk(after, SLICE):
        for each in kept:
            tally.created(each.message)
            for fault in _faults(each):
                seen.note(each.message.id, fault)
        seen.records += len(kept)
        after = kept[-1].message.id
        await asyncio.sleep(0)
    return tally


def _faults(kept: Kept) -> list[str]:
    found = faults(kept.message)
    found += [
        f"{name} beside the record is {_shown(value)}, in it {_shown(getattr(kept.message, name))}"
        for name, value in kept.beside.items()
        if value != getattr(kept.message, name)
    ]
    if kept.message.open and not kept.content:
        found.append("it is open but its content is gone: it cannot be sent")
    return found


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _campaigns(beside: Beside | None, tally: Tally, seen: Audited) -> None:
    """Compares breakdowns, and makes of `tally` what the counters should be."""
    if beside is None:
        tally.sums = {counter: n for counter, n in tally.sums.items() if not counter[0].startswith(CAMPAIGN)}
        return
    for fault in _campaign_faults(beside, tally):
        seen.note(None, fault)
    tally.sums |= {(campaign_counter(id, AUDIENCE), 0): n for id, n in beside.audience.items()}
    for spot in sorted(beside.spots.keys() | tally.spots.keys()):
        stands, counted = beside.spots.get(spot, 0), tally.spots.get(spot, 0)
        if stands != counted:
            of = f"{spot.domain}, {spot.state}{spot.category and f' ({spot.category})'}"
            seen.note(
                None,
                f"the breakdown of campaign {spot.campaign} has {stands} of {of}, the records say {counted}",
            )


def _campaign_faults(beside: Beside, tally: Tally) -> Iterator[str]:
    """What campaigns say of themselves, against their recipients."""
    made, still = Counter[str](), Counter(beside.audience)
    for spot, n in tally.spots.items():
        made[spot.campaign] += n
        still[spot.campaign] += n if spot.state in OPEN else 0
    for campaign in beside.campaigns:
        id, waiting = campaign.id, beside.audience.get(campaign.id, 0)
        if campaign.completed_at is not None and still[id]:
            yield f"campaign {id} is over, but {still[id]} of its recipients are open"
        if campaign.ready and waiting:
            yield f"campaign {id} is ready, but {waiting} of its audience have no mail"
        if made[id] and not campaign.frozen and campaign.phase != "canceled":
            yield f"campaign {id} has {made[id]} mails, but its audience is not complete"
    for id in sorted((made + still).keys() - {campaign.id for campaign in beside.campaigns}):
        yield f"{made[id] + beside.audience.get(id, 0)} recipients are of campaign {id}, which is not there"


def _counters(kept: dict[tuple[str, int], int], sums: dict[tuple[str, int], int], seen: Audited) -> None:
    stand = {counter: n for counter, n in kept.items() if not counter[0].startswith(GONE)}
    gone = {
        (name.removeprefix(GONE), bucket): n for (name, bucket), n in kept.items() if name.startswith(GONE)
    }
    for name, bucket in sorted(stand.keys() | sums.keys() | gone.keys()):
        stands = stand.get((name, bucket), 0) - gone.get((name, bucket), 0)
        counted = sums.get((name, bucket), 0)
        if stands != counted:
            of = f" of {bucket}" if bucket else ""
            seen.note(None, f"the counter {name}{of} is {stands}, the records say {counted}")
