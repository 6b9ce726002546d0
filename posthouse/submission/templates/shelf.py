"""What templates are kept and tried out with; and how a path names one of them."""

from collections.abc import Awaitable, Callable

import msgspec

from posthouse.mail.message import Content, Message
from posthouse.mail.template import Made, Source
from posthouse.store.catalog.campaigns import Campaigns
from posthouse.store.catalog.templates import Templates, Version
from posthouse.submission.accept import Accept, in_time
from posthouse.submission.compose import Rules
from posthouse.submission.endpoint import Call
from posthouse.submission.problems import Problem
from posthouse.templates import ID

Press = Callable[[Source], Awaitable[Made]]
"""Makes a template ready, where it can harm nobody. Raises BadTemplate, StoreAway."""
Fill = Callable[[Made, Message, Content], Awaitable[Content]]
"""What a mail says that is made of it, made where workers make it. Raises BadTemplate, StoreAway."""


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. `campaigns` is None where the store keeps none; `now` gives microseconds since 1970."""

    templates: Templates
    campaigns: Campaigns | None
    press: Press
    fill: Fill
    accept: Accept
    rules: Rules
    new_id: Callable[[], str]
    now: Callable[[], int]


def id_of(call: Call) -> str:
    """The template that a path names; raises the problem `not-found`."""
    id = call.path["templateId"]
    if not ID.fullmatch(id):
        raise missing()
    return id


async def version_of(shelf: Shelf, id: str, version: int | None) -> Version:
    """That version of it, or the newest; raises the problem `not-found`."""
    found = None
    if version is not None or await in_time(shelf.templates.template_head(id)) is not None:
        found = await in_time(shelf.templates.template(id, version))
    if found is None:
        raise missing()
    return found


def missing() -> Problem:
    """There is no such template."""
    return Problem("not-found", "There is no template of this name, or no such version of it.")
