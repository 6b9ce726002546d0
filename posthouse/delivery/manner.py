"""How the mails of a campaign are made: the version of a template that it pins, its own subject, its own variables."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from posthouse.mail.campaign import Campaign
from posthouse.mail.template import Made
from posthouse.store.catalog.campaigns import Campaigns

MOST = 32
"""Campaigns that are remembered: neither they nor their templates change."""

FindMade = Callable[[str, int], Awaitable[Made | None]]
"""A version of a template of the catalog; None where there is none. Raises StoreAway."""
Manner = Callable[[str], Awaitable[Made | None]]
"""How the mails of the campaign of that id are made; None where it or its template is gone. Raises StoreAway."""


def manner_of(campaigns: Campaigns, find: FindMade) -> Manner:
    """Asks the catalog once for each."""
    known: OrderedDict[str, Made] = OrderedDict()

    async def manner(id: str) -> Made | None:
        if id in known:
            known.move_to_end(id)
            return known[id]
        found = await campaigns.campaign(id)
        made = found and await find(found[0].template, found[0].version)
        if found is None or made is None:
            return None
        known[id] = made = pinned(found[0], made)
        if len(known) > MOST:
            known.popitem(last=False)
        return made

    return manner


def pinned(campaign: Campaign, made: Made) -> Made:
    """The template with what is the campaign's: its variables lie above the template's defaults, beneath each mail's."""
    return msgspec.structs.replace(
        made,
        subject=made.subject if campaign.subject is None else campaign.subject,
        defaults={**made.defaults, **campaign.variables},
    )
