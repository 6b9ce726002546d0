"""What should be kept beside the records of a store, as it follows from them, and how to say where it does not.

Each entry has a name, led by its kind (store.snapshot), and a number.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from posthouse.store.snapshot import Kept, KeptCampaign, Kind, Name
from posthouse.store.tally import AUDIENCE, CAMPAIGN, GONE, Tally, campaign_counter

Entries = Iterable[tuple[Name, int]]
"""Names, led by their kind, and how many there are of each."""


LEADING: Collection[str] = ("recipient", "tag")
"""Kinds that lead to a record, by its place."""


def of_records(records: Sequence[Kept], kinds: Collection[Kind]) -> Iterator[tuple[Name, int]]:
    """What should be kept beside these records."""
    tally = Tally()
    for each in records:
        tally.created(each.message)
    of_campaigns = "share" in kinds
    for (name, bucket), n in tally.sums.items():
        if of_campaigns or not name.startswith(CAMPAIGN):
            yield ("counter", name, bucket), n
    if of_campaigns:
        for spot, n in tally.spots.items():
            yield ("share", *spot), n
    if "recipient" in kinds:
        for each in records:
            for email in {recipient.email for recipient in each.message.recipients}:
                yield ("recipient", email, each.place), 1
            for tag in set(each.message.tags):
                yield ("tag", tag, each.place), 1


def of_campaigns(campaigns: Iterable[KeptCampaign]) -> Iterator[tuple[Name, int]]:
    """The counters of who has no message yet."""
    for each in campaigns:
        yield ("counter", campaign_counter(each.campaign.id, AUDIENCE), 0), each.waiting


def as_kept(name: Name, n: int) -> tuple[Name, int]:
    """The same as it stands: what is counted as gone is taken away from what it is gone from."""
    kind, word, *rest = name
    if kind == "counter" and str(word).startswith(GONE):
        return (kind, str(word).removeprefix(GONE), *rest), -n
    return name, n


def difference(name: Name, stands: int, counted: int) -> str:
    """What is wrong where so many stand under a name, and so many follow from the records."""
    kind, *words = name
    if kind == "counter":
        of = f" of {words[1]}" if words[1] else ""
        return f"the counter {words[0]}{of} is {stands}, the records say {counted}"
    if kind == "share":
        campaign, domain, state, category = words
        of = f"{domain}, {state}{category and f' ({category})'}"
        return f"the breakdown of campaign {campaign} has {stands} of {of}, the records say {counted}"
    if stands < counted:
        return f"nothing leads to it from one that it has: {kind}"
    return f"a {kind} is kept for record {words[-1]}, which is not there, or has it not"
