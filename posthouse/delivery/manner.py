"""How mail with a template of the catalog is made: that of a campaign, of the version that it pins, its own subject and its
own variables; a single one, of its version."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import msgspec

from posthouse.mail.campaign import Campaign
from posthouse.mail.template import Made
from posthouse.store.catalog.campaigns import Campaigns

K = TypeVar("K", bound=Hashable)

MOST = 32
"""Campaigns, and versions, that are remembered: they do not change."""

FindMade = Callable[[str, int | None], Awaitable[Made | None]]
"""A version of a template of the catalog, the newest for None; None where there is none. Raises StoreAway."""
Manner = Callable[[str], Awaitable[Made | None]]
"""How the mails of the campaign of that id are made; None where it or its template is gone. Raises StoreAway."""


def manner_of(campaigns: Campaigns, find: FindMade) -> Manner:
    """Asks the catalog once for each."""

    async def manner(id: str) -> Made | None:
        found = await campaigns.campaign(id)
        made = found and await find(found[0].template, found[0].version)
        return None if found is None or made is None else pinned(found[0], made)

    return _remembered(manner)


def versions_of(find: FindMade) -> FindMade:
    """Asks the catalog once for each version, and each time for the newest."""

    def ask(asked: tuple[str, int]) -> Awaitable[Made | None]:
        return find(*asked)

    remembered = _remembered(ask)

    async def made(template: str, version: int | None) -> Made | None:
        return await (find(template, None) if version is None else remembered((template, version)))

    return made


def _remembered(ask: Callable[[K], Awaitable[Made | None]]) -> Callable[[K], Awaitable[Made | None]]:
    known: OrderedDict[K, Made] = OrderedDict()

    async def made(asked: K) -> Made | None:
        if asked in known:
            known.move_to_end(asked)
            return known[asked]
        found = await ask(asked)
        if found is not None:
            known[asked] = found
            if len(known) > MOST:
                known.popitem(last=False)
        return found

    return made


def pinned(campaign: Campaign, made: Made) -> Made:
    """The template with what is the campaign's: its variables lie above the template's defaults, beneath each mail's."""
    return msgspec.structs.replace(
        made,
        subject=made.subject if campaign.subject is None else campaign.subject,
        defaults={**made.defaults, **campaign.variables},
    )
