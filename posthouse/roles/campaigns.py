"""From what a process has opened to the campaigns that its worker sends."""

from posthouse.config import Settings
from posthouse.delivery.audience import draft_maker
from posthouse.delivery.campaigns import Bulk
from posthouse.mail.template import Made
from posthouse.roles.work import new_id, rules
from posthouse.store.base import Store
from posthouse.store.registry import as_campaigns, as_catalog


def open_campaigns(settings: Settings, record: Store) -> Bulk | None:
    """None where there can be none: they are kept with their mail. Their templates are in the same database."""
    campaigns = as_campaigns(record)
    if campaigns is None:
        return None
    catalog = as_catalog(record)

    async def find(template: str, version: int) -> Made | None:
        found = await catalog.template(template, version)
        return None if found is None else found.made

    make = draft_maker(new_id(), settings.hostname, rules(settings).sender)
    return Bulk(campaigns, make, find, settings.jobs)
