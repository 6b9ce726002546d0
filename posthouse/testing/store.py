"""The store contract: what every store keeps (posthouse.store.base), as tests. Subclass StoreContract.

Give it a fixture `store`: a fresh store, started, stopped when the test is over. Where the data outlives the store,
override `reopen` with a fixture that gives a callable: it stops that store and gives another, started, on the same data.
"""

import pytest

from posthouse.testing.store_claim import Claiming
from posthouse.testing.store_keep import Keeping
from posthouse.testing.store_notice import Hearing
from posthouse.testing.store_page import Listing
from posthouse.testing.store_prune import Pruning
from posthouse.testing.store_rate import Leasing
from posthouse.testing.store_report import Reporting
from posthouse.testing.store_save import Reopen, Saving
from posthouse.testing.store_settle import Settling
from posthouse.testing.store_snapshot import Auditing
from posthouse.testing.store_unsettled import Unsettling
from posthouse.testing.store_walk import Walking


class StoreContract(
    Saving,
    Claiming,
    Settling,
    Unsettling,
    Reporting,
    Keeping,
    Listing,
    Pruning,
    Hearing,
    Leasing,
    Walking,
    Auditing,
):
    """All of it."""

    @pytest.fixture
    def reopen(self) -> Reopen | None:
        """None: it cannot be opened again."""
        return None
