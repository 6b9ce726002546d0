"""The contract of campaigns: an audience is frozen once and made messages of, each of it once, whoever does so."""

import asyncio
from collections import Counter

import pytest

from posthouse.mail.campaign import Campaign, Person
from posthouse.mail.contact import Entry, checked
from posthouse.mail.suppression import Suppression
from posthouse.store.audit import audit
from posthouse.store.base import UnknownCursor
from posthouse.testing.campaign_office import (
    Office,
    added,
    contact,
    drawn,
    enlisted,
    frozen,
    make,
    messages,
    ready,
    riders,
    seen,
    started,
    states,
    told,
)
from posthouse.testing.store_mail import ACCEPTED, LONG, draft, microseconds, said


class Gathering:
    """See CampaignContract."""

    async def test_a_new_one_waits_and_who_made_it_is_known(self, store: Office) -> None:
        made = await added(store, metadata={"a": [1]}, rate=(5, 60), roles=("rider",))
        campaign, counts = await seen(store, made.id)
        assert campaign == made
        assert (campaign.phase, campaign.created_by, campaign.metadata) == ("waiting", "ann", {"a": [1]})
        assert abs(campaign.created_at - microseconds()) < 60_000_000
        assert counts.total == 0 and not campaign.frozen
        assert await told(store, made.id) == [("created", "ann")]
        again = await store.add_campaign(Campaign(id=made.id, template="other", version=7), [], "bob")
        assert again == made
        assert await store.campaign("nobody") is None

    async def test_the_list_is_newest_first_and_goes_on_behind_a_cursor(self, store: Office) -> None:
        ids = [(await added(store)).id for _ in range(5)][::-1]
        assert [each.id for each, _ in await store.campaigns(3)] == ids[:3]
        assert [each.id for each, _ in await store.campaigns(3, ids[2])] == ids[3:]
        assert await store.campaigns(3, ids[-1]) == []
        with pytest.raises(UnknownCursor):
            await store.campaigns(3, "nobody")

    async def test_the_list_of_those_that_used_a_template(self, store: Office) -> None:
        one, other, two = [(await added(store, template=name)).id for name in ("mine", "other", "mine")]
        assert [each.id for each, _ in await store.campaigns(3, None, "mine")] == [two, one]
        assert [each.id for each, _ in await store.campaigns(3, two, "mine")] == [one]
        assert [each.id for each, _ in await store.campaigns(3, None, "other")] == [other]
        assert await store.campaigns(3, None, "nobody") == []

    async def test_given_recipients_are_frozen_once_each(self, store: Office) -> None:
        people = [*riders(700), Person("RIDER3@example.org", "Again")]
        id = (await added(store, *people)).id
        await started(store, id)
        assert await frozen(store, id) >= 1
        campaign, counts = await seen(store, id)
        assert (campaign.frozen, campaign.ready, states(counts)) == (True, False, {"pending": 700})
        assert await store.freeze_kept(id) == "done"
        assert await store.freeze(id, riders(3, start=9000), last=False) == 0
        assert states((await seen(store, id))[1]) == {"pending": 700}

    async def test_contacts_of_any_of_its_roles_are_frozen_once_each(self, store: Office) -> None:
        await store.write_contacts(
            [
                contact(n, *["rider"] * (n % 2 == 0), *["groom"] * (n % 3 == 0), town=f"T{n}")
                for n in range(60)
            ]
        )
        for roles, wanted in (
            (("rider",), {n for n in range(60) if n % 2 == 0}),
            (("rider", "groom"), {n for n in range(60) if n % 2 == 0 or n % 3 == 0}),
            (("*",), {*range(60)}),
            (("*", "nobody"), {*range(60)}),
            (("nobody",), set[int]()),
        ):
            id = (await added(store, roles=roles)).id
            await started(store, id)
            await frozen(store, id)
            assert (await seen(store, id))[0].frozen
            people = await enlisted(store, id)
            assert sorted(each.email for each in people) == sorted(f"rider{n}@example.org" for n in wanted)
            assert all(each.variables == {"town": f"T{each.email[5:-12]}"} for each in people)

    async def test_freezing_contacts_goes_on_where_it_stopped(self, store: Office, other: Office) -> None:
        """By another process, and by two at once; who comes behind that place later is in it, too."""
        await store.write_contacts([contact(n, "rider") for n in range(1200)])
        id = (await added(store, roles=("rider",))).id
        await started(store, id)
        assert await store.freeze_kept(id) == "more"
        before = (await seen(store, id))[1].total
        assert before > 0
        await store.write_contacts([checked(Entry(email="zoe@example.org", roles=("rider",)))])
        await asyncio.gather(frozen(store, id), frozen(other, id))
        assert states((await seen(store, id))[1]) == {"pending": 1201}

    async def test_people_from_elsewhere_are_frozen_anew_after_a_crash(self, store: Office) -> None:
        id = (await added(store, roles=("rider",))).id
        await started(store, id)
        assert await store.freeze(id, riders(10), last=False) == 10
        assert await store.freeze(id, riders(15), last=False) == 5
        assert await store.freeze(id, [], last=True) == 0
        assert await store.freeze(id, riders(20), last=True) == 0
        assert (await seen(store, id))[1].total == 15

    async def test_an_audience_that_is_not_complete_makes_no_mail(self, store: Office) -> None:
        id = (await added(store, roles=("rider",))).id
        await started(store, id)
        await store.freeze(id, riders(10), last=False)
        assert await store.enlist(id, 100, make) == "more"
        assert await messages(store, id) == []
        await store.act(id, "cancel", "ann")
        await enlisted(store, id)
        assert len(await messages(store, id)) == 10

    async def test_canceled_before_it_was_frozen_it_has_nobody(self, store: Office) -> None:
        id = (await added(store, *riders(700))).id
        await store.act(id, "cancel", "ann")
        assert await frozen(store, id) == 1
        await enlisted(store, id)
        campaign, counts = await seen(store, id)
        assert (campaign.ready, counts.total) == (True, 0)
        assert await store.complete(id) is not None

    async def test_two_that_enlist_make_one_mail_each_and_the_sum_stays(
        self, store: Office, other: Office
    ) -> None:
        id = (await added(store, *riders(900))).id
        await started(store, id)
        await frozen(store, id)
        working = asyncio.gather(enlisted(store, id), enlisted(other, id))
        while not working.done():
            assert (await seen(store, id))[1].total == 900
            await asyncio.sleep(0.005)
        emails = Counter(message.recipients[0].email for message in await messages(store, id))
        assert len(emails) == emails.total() == 900
        assert (await seen(store, id))[0].ready
        assert (await audit(store)).findings == []

    async def test_who_is_suppressed_is_marked_and_not_dropped(self, store: Office) -> None:
        await store.suppress([Suppression(email="RIDER1@example.org", reason="complained")], "ann")
        await store.suppress([Suppression(email="rider2@example.org", lane="transactional")], "ann")
        id = await ready(store, 4)
        assert states((await seen(store, id))[1]) == {"pending": 3, "suppressed": 1}
        (held_back,) = [m for m in await messages(store, id) if m.state == "suppressed"]
        assert held_back.recipients[0].email == "rider1@example.org"
        assert "complained" in (held_back.error or "")

    async def test_who_draws_gets_mail_that_is_leased_with_what_it_says(self, store: Office) -> None:
        await store.suppress([Suppression(email="rider1@example.org")], "ann")
        id = (await added(store, *riders(5))).id
        await started(store, id)
        assert await store.draw(id, 9, make, "w", LONG) == []
        await frozen(store, id)
        first = await store.draw(id, 2, make, "w", LONG)
        assert states((await seen(store, id))[1]) == {
            "pending": 4 - len(first),
            "sending": len(first),
            "suppressed": 1,
        }
        mails = first + await drawn(store, id)
        emails = {message.id: message.recipients[0].email for message, _ in mails}
        assert sorted(emails.values()) == [f"rider{n}@example.org" for n in (0, 2, 3, 4)]
        assert {id: content.variables for id, content in (await store.contents([*emails])).items()} == {
            message.id: content.variables for message, content in mails
        }
        assert (await seen(store, id))[0].ready
        held = {message.id: message for message in await store.held("w")}
        assert held == {message.id: message for message, _ in mails}
        assert all((m.state, m.fence, m.version) == ("sending", 1, 2) for m in held.values())
        assert await store.claim("v", 9, LONG, lane="bulk", campaign=id) == []
        await store.settle([said(message, ACCEPTED) for message, _ in mails])
        assert states((await seen(store, id))[1]) == {"sent": 4, "suppressed": 1}
        assert (await audit(store)).findings == []

    async def test_nobody_is_drawn_of_one_that_does_not_run(self, store: Office) -> None:
        id = (await added(store, *riders(3))).id
        await started(store, id)
        await frozen(store, id)
        await store.act(id, "pause", "ann")
        assert await store.draw(id, 9, make, "w", LONG) == []
        await store.act(id, "resume", "ann")
        assert len(await store.draw(id, 9, make, "w", LONG)) == 3

    async def test_many_that_draw_and_enlist_make_one_mail_each_and_the_sum_stays(
        self, store: Office, other: Office
    ) -> None:
        id = (await added(store, *riders(900))).id
        await started(store, id)
        await frozen(store, id)
        working = asyncio.gather(drawn(store, id), enlisted(other, id), drawn(other, id))
        while not working.done():
            assert (await seen(store, id))[1].total == 900
            await asyncio.sleep(0.005)
        emails = Counter(message.recipients[0].email for message in await messages(store, id))
        assert len(emails) == emails.total() == 900
        mails = [message for some in ((await working)[0], (await working)[2]) for message, _ in some]
        assert (
            states((await seen(store, id))[1])["sending"]
            == len({message.id for message in mails})
            == len(mails)
        )
        assert (await seen(store, id))[0].ready
        assert (await audit(store)).findings == []

    async def test_its_mail_is_claimed_for_it_alone_and_only_while_it_runs(self, store: Office) -> None:
        id = await ready(store, 3)
        await store.save([draft(lane="bulk")])
        assert [m.campaign for m in await store.claim("w", 9, LONG, lane="bulk")] == [None]
        (leased,) = await store.claim("w", 1, LONG, lane="bulk", campaign=id)
        assert leased.campaign == id
        await store.act(id, "pause", "ann")
        assert await store.claim("w", 9, LONG, lane="bulk", campaign=id) == []
        await store.act(id, "resume", "ann")
        assert len(await store.claim("w", 9, LONG, lane="bulk", campaign=id)) == 2
