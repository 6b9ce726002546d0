"""The catalog port: what is not mail. SQLite and PostgreSQL keep it, in the database of the store or in one of its own.

One file for each part, and one line here; an adapter has a class for each part (`store/sqlite/`, `store/postgres/`).
Rules: times are whole microseconds of the store's clock, durations are seconds; a catalog that does not answer raises
StoreAway within 5 seconds.
"""

from typing import Protocol

from posthouse.store.catalog.contacts import Contacts
from posthouse.store.catalog.keys import ApiKey, ApiKeys
from posthouse.store.catalog.secret import OwnSecret
from posthouse.store.catalog.suppressions import Suppressions
from posthouse.store.catalog.templates import Templates
from posthouse.store.catalog.trail import Trail

__all__ = ["PARTS", "ApiKey", "ApiKeys", "Catalog", "Contacts"]

PARTS: tuple[type, ...] = (ApiKeys, Contacts, OwnSecret, Suppressions, Templates, Trail)
"""The parts, each a Protocol."""


class Catalog(ApiKeys, Contacts, OwnSecret, Suppressions, Templates, Trail, Protocol):
    """All of it."""
