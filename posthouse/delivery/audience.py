"""The building of a campaign: started, its audience frozen, each of it made a message; and the closing of a canceled one.

Rules: everything goes by slices that the store takes in one short transaction each, one slice at a time in a process, so
that an accept never waits for more than one. A crash at any moment loses and doubles nobody: the catalog knows where it
was. Several processes may build the same campaign at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from posthouse.mail.campaign import Campaign, Person
from posthouse.mail.identity import message_id
from posthouse.mail.message import Content, Mailbox, Message, Recipient
from posthouse.store.base import Draft
from posthouse.store.catalog.campaigns import Campaigns, Mails, MakeDraft, Slice

ENLISTED = 128
"""Messages that one slice makes at most."""
CANCELED = 128
BESIDE = 0.5
"""Seconds before each slice while those who send draw what they send, which costs less: slices are for what is sent slowly,
or not now, to be seen in lists all the same."""
LIVES = 30 * 86_400.0
"""Seconds that mail of a campaign which says nothing of that waits for its turn: a long campaign, or a pause, is not to
fail it as expired."""

_RECORD_BYTES = 400

People = Callable[[Sequence[str]], AsyncGenerator[Sequence[Person]]]
"""The people with any of these roles, in slices, from a database that is not ours. Raises StoreAway."""


class Builder:
    """Builds campaigns; `people` are elsewhere, if given, and `make` makes the mail of one of them."""

    def __init__(self, campaigns: Campaigns, make: MakeDraft, people: People | None = None) -> None:
        self._campaigns, self._make, self._people = campaigns, make, people
        self._turn = asyncio.Lock()

    async def build(
        self, campaign: Campaign, filled: Callable[[], None], draws: Callable[[], bool] = lambda: False
    ) -> None:
        """All that is to be done before the campaign is ready; `filled` hears of new mail, and while it `draws` what it
        sends, there is no haste. Raises StoreAway, and Impossible where somebody paused or canceled it meanwhile."""
        if campaign.phase == "waiting":
            await self._campaigns.act(campaign.id, "start", "worker")
        if not campaign.frozen:
            await self._freeze(campaign)
        filled()
        await self._enlist(campaign.id, filled, draws)

    async def close(self, campaign: Campaign) -> None:
        """What is to be done for a canceled one: those of it that are frozen become messages, too, so that its counts
        stay what they were; whom nobody froze are forgotten."""
        await self._slices(lambda: self._campaigns.freeze_kept(campaign.id))
        await self._enlist(campaign.id, lambda: None, lambda: False)
        await self._slices(lambda: self._campaigns.cancel_slice(campaign.id, CANCELED))

    async def _freeze(self, campaign: Campaign) -> None:
        if self._people is None or not campaign.roles:
            await self._slices(lambda: self._campaigns.freeze_kept(campaign.id))
            return
        async with aclosing(self._people(campaign.roles)) as slices:
            async for people in slices:
                async with self._turn:
                    await self._campaigns.freeze(campaign.id, people, last=False)
        await self._campaigns.freeze(campaign.id, [], last=True)

    async def draw(self, id: str, limit: int, owner: str, lease: float) -> Mails:
        """Mail of those that are next, for who sends it at once."""
        return await self._campaigns.draw(id, min(limit, ENLISTED), self._make, owner, lease)

    async def _enlist(self, id: str, filled: Callable[[], None], draws: Callable[[], bool]) -> None:
        async def enlisted() -> Slice:
            if draws():
                await asyncio.sleep(BESIDE)
            done = await self._campaigns.enlist(id, ENLISTED, self._make)
            filled()
            return done

        await self._slices(enlisted)

    async def _slices(self, take: Callable[[], Awaitable[Slice]]) -> None:
        more: Slice = "more"
        while more == "more":
            async with self._turn:
                more = await take()


def draft_maker(new_id: Callable[[], str], hostname: str, sender: Mailbox) -> MakeDraft:
    """Makes the mail of one of an audience: what it says is in the campaign and its template, what is the person's own
    is here. `sender` is for campaigns that name none."""

    def make(campaign: Campaign, person: Person) -> Draft:
        id, variables = new_id(), person.variables
        if person.roles:
            variables = {"roles": list(person.roles), **variables}
        content = Content(
            sender=campaign.sender or sender,
            to=(Mailbox(person.email, person.name),),
            template=campaign.template,
            variables=variables,
        )
        message = Message(
            id=id,
            message_id=message_id(id, hostname),
            lane="bulk",
            campaign=campaign.id,
            size=_RECORD_BYTES + len(msgspec.msgpack.encode(variables)),
            expires_at=campaign.expires_at or 0,
            recipients=[Recipient(person.email)],
        )
        return Draft(message, content, expire=LIVES)

    return make
