"""From what a process has opened to the campaigns that its worker sends."""

from typing import cast

from posthouse.config import Settings
from posthouse.delivery.audience import draft_maker
from posthouse.delivery.campaigns import Bulk
from posthouse.delivery.manner import FindMade
from posthouse.mail.template import Made
from posthouse.roles.work import new_id, rules
from posthouse.store.base import Store
from posthouse.store.catalog.campaigns import Campaigns
from posthouse.store.catalog.templates import Templates
from posthouse.store.registry import as_campaigns, as_catalog


def finder(catalog: Templates) -> FindMade:
    """Finds versions of templates, made ready."""

    async def find(template: str, version: int | None) -> Made | None:
        found = await catalog.template(template, version)
        return None if found is None else found.made

    return find


def open_campaigns(settings: Settings, record: Store, store: Store) -> Bulk | None:
    """None where there can be none: they are kept with their mail. Their templates are in the same database. `store` is the
    `record` as it is watched."""
    if as_campaigns(record) is None:
        return None
    find = finder(as_catalog(record))
    make = draft_maker(new_id(), settings.hostname, rules(settings).sender)
    return Bulk(cast(Campaigns, store), make, find, settings.jobs)
