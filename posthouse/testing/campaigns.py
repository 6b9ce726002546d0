"""The contract of campaigns (posthouse.store.catalog.campaigns), as tests. Subclass CampaignContract.

Give it two fixtures: `store`, a fresh one that keeps mail, catalog and campaigns, started, stopped when the test is over;
and `other`, one more on the same data, as another process would have it.
"""

from posthouse.testing.campaign_acts import Steering
from posthouse.testing.campaign_audience import Gathering


class CampaignContract(Gathering, Steering):
    """All of it."""
