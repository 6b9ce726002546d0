"""A campaign, its audience and who of it is chosen, as the SQL stores keep and ask them: what both of them share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from posthouse.mail.campaign import Act, Campaign, Counts, Person
from posthouse.mail.lifecycle import STATES, State, allows
from posthouse.mail.message import Message
from posthouse.mail.suppression import Suppression, folded
from posthouse.store.base import Draft
from posthouse.store.catalog.campaigns import Chosen, MakeDraft
from posthouse.store.catalog.trail import Deed
from posthouse.store.tally import campaign_counts, domain_of

DONE: dict[Act, str] = {
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "canceled",
    "retry": "retried",
}
"""An act as the trail has it."""

_CAMPAIGN = msgspec.json.Decoder(Campaign)
_SUMS = msgspec.json.Decoder(dict[str, int])
_PEOPLE = msgspec.msgpack.Decoder(list[Person])
_ROLES = msgspec.json.Decoder(tuple[str, ...])
_VARIABLES = msgspec.json.Decoder(dict[str, object])

T = TypeVar("T")


def campaign_of(record: str, completed_at: int | None) -> Campaign:
    """A campaign as its row has it."""
    campaign = _CAMPAIGN.decode(record)
    campaign.completed_at = completed_at
    return campaign


def counts_of(sums: str | None) -> Counts:
    """Its counts, of its counters by their last word, as JSON."""
    return campaign_counts(_SUMS.decode(sums) if sums else {})


def text(value: object) -> str:
    """JSON as a column has it."""
    return msgspec.json.encode(value).decode()


def deed(campaign: Campaign, act: str, detail: dict[str, Any] | None = None) -> Deed:
    """What the trail says of an act."""
    return Deed(act, f"campaign:{campaign.id}", detail or {})


def created(campaign: Campaign) -> Deed:
    """What the trail says of a new one."""
    return deed(campaign, "created", {"template": campaign.template, "version": campaign.version})


def takes_people(campaign: Campaign) -> bool:
    """Whether its audience is not yet complete."""
    return not campaign.frozen and campaign.phase != "canceled"


def gives_people(campaign: Campaign) -> bool:
    """Whether messages may be made of its audience."""
    return campaign.frozen or campaign.phase == "canceled"


def given_name(campaign: Campaign) -> str:
    """Where its recipients are kept until they are frozen: two requests with one Idempotency-Key and other people do not
    meet there."""
    return f"{campaign.id} {campaign.fingerprint}" if campaign.fingerprint else campaign.id


def parts(things: Sequence[T], size: int) -> list[Sequence[T]]:
    """Slices of this size."""
    return [things[start : start + size] for start in range(0, len(things), size)]


def pack_people(people: Sequence[Person]) -> bytes:
    """People as they were given."""
    return msgspec.msgpack.encode(people)


def unpack_people(data: bytes) -> list[Person]:
    """The same people."""
    return _PEOPLE.decode(data)


def key_of(person: Person) -> str:
    """What tells people of an audience apart."""
    return folded(person.email)


def row_of(person: Person) -> tuple[str, str, str, str, str]:
    """One of an audience, as its row has it: key, address, name, roles, variables."""
    return key_of(person), person.email, person.name, text(person.roles), text(person.variables)


def person_of(address: str, name: str, roles: str, variables: str) -> Person:
    """The same person."""
    return Person(address, name, _ROLES.decode(roles), _VARIABLES.decode(variables))


def drafts(
    campaign: Campaign, people: Iterable[Person], suppressed: Mapping[str, Suppression], make: MakeDraft
) -> dict[str, Draft]:
    """The mail of these people, by their keys; `suppressed` are those keys that are not to be mailed."""
    made = {key_of(person): make(campaign, person) for person in people}
    for key, entry in suppressed.items():
        told = {recipient.email: entry.text for recipient in made[key].message.recipients}
        made[key] = msgspec.structs.replace(made[key], suppressed=told)
    return made


def retried_states(chosen: Chosen) -> list[State]:
    """The states that are chosen and can be tried again."""
    return [state for state in chosen.states or STATES if allows(state, "retry")]


def fits(message: Message, chosen: Chosen) -> bool:
    """Whether a message in one of those states is of a category and domain that are chosen."""
    recipient = message.recipients[0]
    return (not chosen.categories or recipient.category in chosen.categories) and (
        not chosen.domains or domain_of(recipient.email) in chosen.domains
    )
