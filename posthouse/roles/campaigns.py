"""From what a process has opened to the campaigns that its worker sends."""

from functools import partial
from typing import cast

import structlog

from posthouse.audience import Audience, BadAudience, open_audience, people
from posthouse.config import BadSettings, Settings
from posthouse.delivery.audience import People, draft_maker
from posthouse.delivery.campaigns import Bulk
from posthouse.delivery.manner import FindMade
from posthouse.mail.errors import StoreAway
from posthouse.mail.template import Made
from posthouse.roles.opened import named
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
    return Bulk(cast(Campaigns, store), make, find, settings.jobs, _elsewhere(settings))


def audience_of(settings: Settings) -> Audience | None:
    """The audience that is elsewhere, if there is one."""
    if settings.audience_url is None or settings.audience_sql is None:
        return None
    with named():
        return open_audience(settings.audience_url, settings.audience_sql)


async def check_audience(settings: Settings, *, patient: bool = True) -> None:
    """Says what is wrong with the query, by asking the database; that it is away is a warning where one is `patient`, else
    StoreAway. Raises BadSettings."""
    audience = audience_of(settings)
    if audience is None:
        return
    try:
        await audience.check()
    except BadAudience as error:
        raise BadSettings([str(error)]) from None
    except StoreAway as error:
        if not patient:
            raise
        structlog.get_logger("posthouse").warning("the audience is away", why=str(error))


def _elsewhere(settings: Settings) -> People | None:
    audience = audience_of(settings)
    return None if audience is None else partial(people, audience)
