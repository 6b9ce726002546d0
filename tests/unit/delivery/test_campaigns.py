"""Campaigns at work in a process: built, sent in fair turns, paused, canceled, gone on with, complete."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from posthouse.delivery.audience import Builder
from posthouse.delivery.campaigns import CampaignWork
from posthouse.delivery.worker import Worker
from posthouse.mail.advance import LONELY
from posthouse.mail.campaign import Person
from posthouse.mail.errors import StoreAway
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.queue.base import Course
from posthouse.testing.sink import Rule
from posthouse.testing.store_mail import LONG, NOT_BEGUN, draft, said
from tests.unit.delivery.bulk import Office, addresses, opened, riders
from tests.unit.delivery.parts import eventually


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(tmp_path, Rule(step="end", delay=0.02)) as made:
        yield made


def taken(office: Office) -> list[str]:
    return sorted(address for mail in office.sink.mails for address in mail.recipients)


async def test_each_gets_one_mail_of_the_pinned_version_in_their_own_words(office: Office) -> None:
    people = riders(300)
    office.templates["hello", 2] = press(Source(subject="Not this", html="<p>Wrong version</p>"))
    id = await office.add(*people, subject="Horses for {{ name }}", variables={"horse": "Nobody"})
    async with office.worker():
        await office.completed(id)
    assert taken(office) == addresses(people)
    mail = next(mail for mail in office.sink.mails if mail.recipients == ("rider7@example.org",))
    assert b"Subject: Horses for Rider 7\r\n" in mail.data and b"you ride Bayard-7." in mail.data
    assert b"From: office@house.example\r\n" in mail.data
    campaign, counts = await office.get(id)
    assert (counts.sent, counts.total, counts.progress) == (300, 300, 100)
    assert campaign.ready and campaign.started_at and campaign.completed_at


async def test_a_campaign_variable_lies_beneath_the_persons_own(office: Office) -> None:
    people = [Person("ann@x.example", "Ann"), Person("ben@x.example", "Ben", (), {"horse": "Own"})]
    id = await office.add(*people, variables={"horse": "Shared"})
    async with office.worker():
        await office.completed(id)
    said_to = {mail.recipients[0]: mail.data for mail in office.sink.mails}
    assert b"you ride Shared." in said_to["ann@x.example"]
    assert b"you ride Own." in said_to["ben@x.example"]


async def test_people_from_another_database_are_frozen_in_slices(office: Office) -> None:
    people = riders(30)
    asked: list[Sequence[str]] = []

    async def elsewhere(roles: Sequence[str]) -> AsyncIterator[Sequence[Person]]:
        asked.append(roles)
        for start in range(0, 30, 7):
            yield people[start : start + 7]

    id = await office.add(roles=("rider",))
    async with office.worker(people=elsewhere):
        await office.completed(id)
    assert taken(office) == addresses(people)
    assert asked == [("rider",)]


async def test_an_audience_that_cannot_be_read_is_asked_for_again(office: Office) -> None:
    """The database of others is away, then says what nobody expects; whom it gave before is not doubled."""
    errors: list[Exception] = [StoreAway("away"), ValueError("no such column")]

    async def elsewhere(roles: Sequence[str]) -> AsyncIterator[Sequence[Person]]:
        yield riders(5)
        if errors:
            raise errors.pop(0)
        yield riders(10)

    id = await office.add(roles=("rider",))
    async with office.worker(people=elsewhere):
        await office.completed(id)
    assert taken(office) == addresses(riders(10))


async def test_nobody_has_that_role_the_campaign_ends(office: Office) -> None:
    id = await office.add(roles=("nobody",))
    async with office.worker():
        await office.completed(id)
    assert await office.states(id) == {}


async def test_what_is_wrong_with_one_fails_that_one_and_the_others_go_on(office: Office) -> None:
    people = riders(40)
    id = await office.add(*people, Person("unhorsed@example.org", "U"))
    async with office.worker():
        await office.completed(id)
    assert await office.states(id) == {"sent": 40, "failed": 1}


async def test_without_its_template_all_fail_with_that_reason(office: Office) -> None:
    id = await office.add(*riders(3), template="gone")
    async with office.worker():
        await office.completed(id)
    assert await office.states(id) == {"failed": 3}


async def test_deferred_at_first_all_are_sent_in_the_end(tmp_path: Path) -> None:
    async with opened(
        tmp_path, Rule(step="RCPT", match="rider*", reply="451 4.3.0 later", times=20)
    ) as office:
        id = await office.add(*riders(100))
        async with office.worker():
            await office.completed(id)
        assert await office.states(id) == {"sent": 100}
        assert len(taken(office)) == 100


async def test_a_paused_campaign_goes_on_when_it_is_resumed(slow: Office) -> None:
    id = await slow.add(*riders(200))
    async with slow.worker():
        await eventually(lambda: slow.sink.taken > 10)
        await slow.store.act(id, "pause", "ann")
        await slow.still(id)
        stood = slow.sink.taken
        assert stood < 200
        await slow.store.act(id, "resume", "ann")
        await slow.completed(id)
    assert taken(slow) == addresses(riders(200))


async def test_a_canceled_campaign_ends_as_sent_or_canceled(slow: Office) -> None:
    id = await slow.add(*riders(200))
    async with slow.worker():
        await eventually(lambda: slow.sink.taken > 10)
        await slow.store.act(id, "cancel", "ann")
        await slow.completed(id)
    states = await slow.states(id)
    assert states.keys() == {"sent", "canceled"}
    assert states["sent"] == len(slow.sink.mails) == 200 - states["canceled"]


async def test_canceled_before_it_was_built_it_still_counts_all(office: Office) -> None:
    id = await office.add(*riders(500))
    await office.store.act(id, "start", "ann")
    while await office.store.freeze_kept(id) == "more":
        pass
    await office.store.act(id, "cancel", "ann")
    async with office.worker():
        await office.completed(id)
    assert await office.states(id) == {"canceled": 500}
    assert office.sink.taken == 0


async def test_another_worker_goes_on_with_what_one_began(slow: Office) -> None:
    people = riders(300)
    id = await slow.add(*people)
    async with slow.worker():
        await eventually(lambda: slow.sink.taken > 5)
    async with slow.worker(), slow.worker():
        await slow.completed(id)
    assert taken(slow) == addresses(people)


async def test_a_campaign_that_is_scheduled_waits(office: Office) -> None:
    later = await office.add(*riders(1), scheduled_at=4_000_000_000_000_000)
    id = await office.add(*riders(1, start=1))
    async with office.worker() as worker:
        await office.completed(id)
        course = await follow(worker, later)
    assert course is not None and course.wait == 3600.0
    assert taken(office) == ["rider1@example.org"]


async def test_mail_that_cost_workers_goes_alone_behind_the_others(office: Office) -> None:
    people = riders(20)
    id = await office.add(*people)
    campaign, _ = await office.get(id)
    await Builder(office.store, office.make).build(campaign, lambda: None)
    poison = await one_of(office, id)
    for _ in range(LONELY):
        (message,) = await office.store.claim("dead", 1, LONG, ids=[poison])
        await office.store.settle([said(message, NOT_BEGUN, lost=True)])
    async with office.worker():
        await office.completed(id)
    assert await office.states(id) == {"sent": 20}
    last = office.sink.mails[-1].recipients[0]
    assert last == (await office.store.get(poison))[0].recipients[0].email


async def test_a_transactional_mail_overtakes_a_campaign(slow: Office) -> None:
    await slow.add(*riders(400))
    async with slow.worker(connections=2):
        await eventually(lambda: slow.sink.taken > 20)
        before = slow.sink.taken
        await slow.store.save([draft("now@example.org")])
        await eventually(lambda: "now@example.org" in taken(slow))
        assert slow.sink.taken < 400
        at = next(n for n, mail in enumerate(slow.sink.mails) if mail.recipients == ("now@example.org",))
        assert at < before + 150


async def test_several_take_turns_and_a_higher_priority_goes_first(slow: Office) -> None:
    first, second = riders(150), riders(150, start=1000)
    await slow.add(*first)
    await slow.add(*second)
    urgent = await slow.add(*riders(30, start=5000), priority=9)
    async with slow.worker(connections=2):
        await slow.completed(urgent)
        await eventually(lambda: slow.sink.taken > 150)
    by = Counter(int(mail.recipients[0][5:].split("@")[0]) // 1000 for mail in slow.sink.mails[:130])
    assert by[5] == 30
    assert abs(by[0] - by[1]) <= 40


async def test_a_process_has_so_many_jobs_at_once(slow: Office) -> None:
    one, two = await slow.add(*riders(60)), await slow.add(*riders(60, start=100))
    async with slow.worker(jobs=1) as worker:
        await eventually(lambda: slow.sink.taken > 5)
        course = await follow(worker, one)
        assert course is not None and course == Course(percent=course.percent)
        course = await follow(worker, two)
        assert course is not None and course.wait
        await slow.completed(one, two)
        assert await follow(worker, one) == Course(percent=100, over=True)
    assert len(taken(slow)) == 120


async def test_who_nobody_knows_has_no_course(office: Office) -> None:
    async with office.worker() as worker:
        assert await follow(worker, "nobody") is None


async def follow(worker: Worker, id: str) -> Course | None:
    campaigns = worker._campaigns
    assert isinstance(campaigns, CampaignWork)
    return await campaigns.follow(id)


async def one_of(office: Office, id: str) -> str:
    """One of its messages."""
    messages = await office.store.claim("hand", 1, LONG, campaign=id, lane="bulk")
    await office.store.release([(message.id, message.fence) for message in messages], 0.0)
    return messages[0].id
