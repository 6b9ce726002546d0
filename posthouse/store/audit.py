"""The audit of a store: every record could have come about, what is kept beside it agrees, and the counts add up.

Rules: it walks one snapshot in slices, so it needs little memory however many records there are, and holds up no writer.
What is kept beside the records is compared by sums (store.ledger); only where these differ it is walked once more, for the
names. A finding names the record by its id and says what is wrong, without content or address. It mends nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from typing import Any

import msgspec

from posthouse.mail.audit import faults
from posthouse.store.base import Store
from posthouse.store.entries import LEADING, Entries, as_kept, difference, of_campaigns, of_records
from posthouse.store.ledger import Ledger, cell
from posthouse.store.snapshot import Kept, KeptCampaign, Kind, Name, Roster, Snapped, Snapshot, Stray

SLICE = 500
"""Records of a slice."""
ENTRIES = 5000
"""Names of a slice of what is beside them."""
FINDINGS = 1000
"""Findings that are listed at most; beyond them they are only counted."""
NAMES = 50_000
"""About how many names are looked at again, and held for that, at most."""


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


async def audit(store: Store, catalog: object = None) -> Audited:
    """Looks at everything once, also at a catalog of its own. Raises StoreAway."""
    seen = Audited()
    await _audit(store, seen)
    if catalog is not store and isinstance(catalog, Snapped):
        await _audit(catalog, seen)
    return seen


async def _audit(store: Snapped, seen: Audited) -> None:
    async with store.snapshot() as snapshot:
        kinds = await snapshot.kinds()
        ledger = await _first_look(snapshot, kinds, seen)
        if cells := sorted(ledger.unequal()):
            room = NAMES // ledger.names_a_cell + 1
            seen.wrong += len(cells[room:])  # each holds one thing at least that is wrong
            await _second_look(snapshot, kinds, frozenset(cells[:room]), seen)
        for fault in _roster_faults(await snapshot.roster()):
            seen.note(None, fault)
        for stray in await snapshot.strays(FINDINGS):
            seen.note(None, _stray(stray))


async def _first_look(snapshot: Snapshot, kinds: Collection[Kind], seen: Audited) -> Ledger:
    """Looks at each record and campaign; the ledger says whether what is beside them follows from them."""
    ledger = Ledger()
    async for records in _records(snapshot):
        seen.records += len(records)
        for each in records:
            for fault in _faults(each):
                seen.note(each.message.id, fault)
        ledger.add(of_records(records, kinds))
    async for campaigns in _campaigns(snapshot):
        for fault in (fault for each in campaigns for fault in _campaign_faults(each)):
            seen.note(None, fault)
        ledger.add(of_campaigns(campaigns))
    async for beside in _beside(snapshot, kinds):
        ledger.add(beside, -1)
    return ledger


async def _second_look(
    snapshot: Snapshot, kinds: Collection[Kind], cells: Collection[int], seen: Audited
) -> None:
    """Finds the names in these cells for which the two sides differ."""
    counted: dict[Name, int] = {}
    stand: dict[Name, int] = {}
    ids: dict[str | int, str] = {}

    def note(side: dict[Name, int], entries: Entries) -> list[Name]:
        found = [(name, n) for name, n in entries if cell(name) in cells]
        for name, n in found:
            side[name] = side.get(name, 0) + n
        return [name for name, _ in found]

    async for records in _records(snapshot):
        places = {name[-1] for name in note(counted, of_records(records, kinds)) if name[0] in LEADING}
        ids |= {each.place: each.message.id for each in records if each.place in places}
    async for campaigns in _campaigns(snapshot):
        note(counted, of_campaigns(campaigns))
    async for beside in _beside(snapshot, kinds):
        note(stand, beside)
    for name in sorted(counted.keys() | stand.keys(), key=repr):
        if (n := stand.get(name, 0)) != (m := counted.get(name, 0)):
            seen.note(ids.get(name[-1]) if name[0] in LEADING else None, difference(name, n, m))


async def _records(snapshot: Snapshot) -> AsyncIterator[list[Kept]]:
    after: str | None = None
    while kept := await snapshot.walk(after, SLICE):
        yield kept
        after = kept[-1].message.id
        await asyncio.sleep(0)


async def _campaigns(snapshot: Snapshot) -> AsyncIterator[list[KeptCampaign]]:
    after: str | None = None
    while kept := await snapshot.campaigns(after, SLICE):
        yield kept
        after = kept[-1].campaign.id


async def _beside(snapshot: Snapshot, kinds: Iterable[Kind]) -> AsyncIterator[Entries]:
    for kind in kinds:
        after: Name | None = None
        while entries := await snapshot.beside(kind, after, ENTRIES):
            yield [as_kept((kind, *name), n) for name, n in entries]
            after = entries[-1][0]
            await asyncio.sleep(0)


def _faults(kept: Kept) -> list[str]:
    found = [*faults(kept.message), *_unlike(kept.beside, kept.message)]
    found += [f"{part} as others read it is not what it says" for part in kept.amiss]
    if kept.message.open and not kept.content:
        found.append("it is open but its content is gone: it cannot be sent")
    return found


def _unlike(beside: dict[str, Any], record: object) -> Iterator[str]:
    for name, value in beside.items():
        if value != (said := getattr(record, name)):
            yield f"{name} beside the record is {_shown(value)}, in it {_shown(said)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _campaign_faults(kept: KeptCampaign) -> Iterator[str]:
    """What a campaign says of itself, against its recipients."""
    campaign, counts, waiting = kept.campaign, kept.counts, kept.waiting
    is_about = f"campaign {campaign.id}"
    for fault in _unlike(kept.beside, campaign):
        yield f"{is_about}: {fault}"
    if campaign.completed_at is not None and counts.open:
        yield f"{is_about} is over, but {counts.open} of its recipients are open"
    if campaign.ready and waiting:
        yield f"{is_about} is ready, but {waiting} of its audience have no mail"
    if kept.twice:
        yield f"{is_about} has mail for {kept.twice} of its audience already: they would get it twice"
    made = counts.total - waiting
    if made and not campaign.frozen and campaign.phase != "canceled":
        yield f"{is_about} has {made} mails, but its audience is not complete"
    if campaign.frozen and kept.given:
        yield f"{is_about} has a complete audience, but {kept.given} slices that were given with it are not in it"


def _roster_faults(roster: Roster | None) -> Iterator[str]:
    if roster is None:
        return
    kept = (roster.counted, roster.listed, roster.said, roster.both)
    for role in sorted({role for each in kept for role in each}):
        counted, listed, said, both = (each.get(role, 0) for each in kept)
        if len({counted, listed, said, both}) > 1:
            yield (
                f"the role {role} is counted {counted} times and listed {listed} times; "
                f"{said} contacts have it, {both} of these are listed"
            )


def _stray(stray: Stray) -> str:
    return f"a {stray.kind} is kept for {stray.of} {stray.name}, which is not there"
