"""From Settings and the catalog to the links by which people unsubscribe, and the keys that open them."""

from typing import NamedTuple

from posthouse.config import Settings
from posthouse.mail.unsubscribe import Links, key_of
from posthouse.server import shown_host
from posthouse.store.catalog import Catalog

DEFAULT_PORT = 8025
ANYWHERE = ("0.0.0.0", "::")
"""Hosts that are listened on and cannot be called."""


class Linking(NamedTuple):
    """What makes the links in mail, and the keys that open them."""

    links: Links
    keys: list[bytes]


async def open_links(settings: Settings, catalog: Catalog, port: int | None = None) -> Linking:
    """The first word of the settings makes links; each of them opens some, and so does the catalog's own secret: a link in
    old mail leads somewhere after a word was set. `port` is that of the API, where it is known better. Raises StoreAway."""
    words = [*(settings.secret or "").split(), await catalog.secret()]
    keys = [key_of(word) for word in words]
    return Linking(Links(public_url(settings, port), keys[0]), keys)


def public_url(settings: Settings, port: int | None = None) -> str:
    """Where people reach us."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    host = settings.hostname if settings.host in ANYWHERE else shown_host(settings.host)
    return f"http://{host}:{port or settings.port or DEFAULT_PORT}"
