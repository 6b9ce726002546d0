"""From what a process has opened to the templates of the catalog: for who pushes and tries them, and for who takes mail."""

from posthouse.config import Settings
from posthouse.delivery.apart import Away
from posthouse.delivery.render import Renderer
from posthouse.delivery.renderer import Order
from posthouse.mail.message import Content, Message
from posthouse.mail.outcome import Outcome
from posthouse.mail.template import BadTemplate, Made, Source
from posthouse.roles.work import new_id, rules
from posthouse.store.base import Store
from posthouse.store.catalog import Catalog
from posthouse.store.registry import as_campaigns
from posthouse.submission.accept import Accept
from posthouse.submission.pinned import Pin, pin_of
from posthouse.submission.problems import Problem
from posthouse.submission.templates.shelf import Shelf
from posthouse.submission.times import wall_clock
from posthouse.templates import TemplateFolder


def open_shelf(
    settings: Settings, record: Store, catalog: Catalog, accept: Accept, renderer: Renderer
) -> Shelf:
    """`renderer` makes templates ready, and mails of them; whoever gave it stops it."""

    async def press(source: Source) -> Made:
        try:
            return await renderer.press(source)
        except Away:
            raise _unavailable() from None

    async def fill(made: Made, message: Message, content: Content) -> Content:
        (built,) = await renderer.render([Order(message, content, 0)], [made])
        if isinstance(built.data, Outcome) and built.data.result == "refused":
            raise BadTemplate(built.data.text)
        if built.content is None:
            raise _unavailable()
        return built.content

    return Shelf(
        templates=catalog,
        campaigns=as_campaigns(record),
        press=press,
        fill=fill,
        accept=accept,
        rules=rules(settings),
        new_id=new_id(),
        now=wall_clock,
    )


def open_pin(settings: Settings, catalog: Catalog) -> Pin:
    """How who takes mail finds templates of the catalog."""
    folder = None if settings.templates is None else TemplateFolder(settings.templates)
    return pin_of(catalog, folder and folder.has)


def _unavailable() -> Problem:
    text = "The process that makes templates cannot be had right now."
    return Problem("unavailable", text, headers=[(b"retry-after", b"5")])
