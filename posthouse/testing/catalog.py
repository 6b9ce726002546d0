"""The catalog contract: what every catalog keeps (posthouse.store.catalog), as tests. Subclass CatalogContract.

Give it two fixtures: `catalog`, a fresh one, started, stopped when the test is over; and `other`, one more on the same
data, as another process would have it. Each part has its tests in a file of its own, and one line here.
"""

from posthouse.testing.catalog_contacts import KeepingContacts
from posthouse.testing.catalog_keys import KeepingKeys
from posthouse.testing.catalog_suppressions import Suppressing
from posthouse.testing.catalog_templates import KeepingTemplates
from posthouse.testing.catalog_trail import Trailing


class CatalogContract(KeepingKeys, KeepingContacts, Suppressing, KeepingTemplates, Trailing):
    """All of it."""
