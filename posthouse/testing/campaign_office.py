"""What the contract of campaigns is told with: people, campaigns that are frozen, enlisted, settled, retried."""

from typing import Any, Protocol

import msgspec

from posthouse.mail.campaign import Campaign, Counts, Person
from posthouse.mail.contact import Entry, checked
from posthouse.mail.lifecycle import State
from posthouse.mail.message import Message
from posthouse.mail.outcome import Outcome
from posthouse.store.base import Draft, Query, Store
from posthouse.store.catalog import Catalog
from posthouse.store.catalog.campaigns import Campaigns, Chosen, Mails, Slice
from posthouse.testing.store_mail import LONG, draft, new_id, said


class Office(Store, Catalog, Campaigns, Protocol):
    """A store with a catalog and campaigns."""


def riders(count: int, start: int = 0) -> list[Person]:
    """People of an audience."""
    return [
        Person(f"rider{n}@example.org", f"Rider {n}", ("rider",), {"n": n})
        for n in range(start, start + count)
    ]


def contact(number: int, *roles: str, **attributes: Any) -> Entry:
    """A checked entry."""
    return checked(Entry(email=f"rider{number}@example.org", roles=roles, attributes=attributes))


def make(campaign: Campaign, person: Person) -> Draft:
    """What workers make of one of an audience."""
    return draft(person.email, lane="bulk", campaign=campaign.id, content={"variables": person.variables})


async def added(store: Office, *people: Person, **fields: Any) -> Campaign:
    """A new campaign of Ann's; `fields` are those of Campaign."""
    campaign = msgspec.structs.replace(Campaign(id=new_id(), template="hello", version=1), **fields)
    return await store.add_campaign(campaign, people, "ann")


async def seen(store: Office, id: str) -> tuple[Campaign, Counts]:
    """A campaign with its counts."""
    found = await store.campaign(id)
    assert found is not None
    return found


def states(counts: Counts) -> dict[State, int]:
    """Those that are not 0."""
    return {state: n for state, n in counts.states.items() if n}


async def told(store: Office, id: str) -> list[tuple[str, str]]:
    """What the trail says of it, the newest first."""
    return [(entry.act, entry.by) for entry in await store.acts(20, about=f"campaign:{id}")]


async def started(store: Office, id: str) -> None:
    """As a worker does it."""
    await store.act(id, "start", "worker")


async def frozen(store: Office, id: str) -> int:
    """Freezes what is kept of its audience; how many slices that took."""
    slices = 1
    while await store.freeze_kept(id) == "more":
        slices += 1
    return slices


async def drawn(store: Office, id: str) -> Mails:
    """All that is left of its audience, leased."""
    mails: Mails = []
    while not (await seen(store, id))[0].ready:
        mails += await store.draw(id, 100, make, "w", LONG)
    return mails


async def enlisted(store: Office, id: str) -> list[Person]:
    """Makes messages of its audience; of whom, as they were asked for."""
    people: list[Person] = []

    def note(campaign: Campaign, person: Person) -> Draft:
        people.append(person)
        return make(campaign, person)

    done: Slice = "more"
    while done == "more":
        done = await store.enlist(id, 100, note)
    return people


async def ready(store: Office, *people: int | Person) -> str:
    """A campaign that runs and is enlisted, to these people or so many riders."""
    given = [each for some in people for each in (riders(some) if isinstance(some, int) else [some])]
    id = (await added(store, *given)).id
    await started(store, id)
    await frozen(store, id)
    await enlisted(store, id)
    return id


async def messages(store: Office, id: str) -> list[Message]:
    """All messages of a campaign."""
    found: list[Message] = []
    cursor: str | None = None
    while True:
        page = await store.page(Query(limit=100, campaign=id, cursor=cursor))
        found += [each.message for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def settled(store: Office, id: str, outcomes: dict[str, Outcome]) -> None:
    """Sends all of it; `outcomes` by the name of the mailbox. What is unknown is held."""
    leased = await store.claim("w", len(outcomes), LONG, lane="bulk", campaign=id)
    await store.settle([said(m, outcomes[m.recipients[0].email.partition("@")[0]]) for m in leased])


async def retried(store: Office, id: str, chosen: Chosen, limit: int) -> int:
    """All that is chosen, slice by slice; how many that were."""
    count, cursor = 0, None
    while True:
        done = await store.retry_slice(id, chosen, limit, LONG, cursor)
        count, cursor = count + done.count, done.cursor
        if cursor is None:
            return count
