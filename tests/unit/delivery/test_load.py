"""The Loader: contents come in chunks within a bound, transactional first, and every attempt gets to a transport,
back, or settled."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from posthouse.delivery import load
from posthouse.delivery.attempt import Attempt
from posthouse.delivery.breaker import Breaker
from posthouse.delivery.load import LARGE, NOT_HERE, NOWHERE, Loader
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Content, Lane, Message
from posthouse.mail.outcome import not_begun
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.roles.campaigns import finder
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.store_mail import LONG, draft
from tests.unit.delivery.parts import Hop, attempt, claimed, eventually, opened_journal


class Weak(SqliteStore):
    """A SQLite store that is away for the first `away` calls of contents, and notes what each asked for."""

    away = 0
    keeps = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.chunks: list[list[str]] = []

    async def contents(self, ids: Sequence[str]) -> dict[str, Content]:
        self.chunks.append(list(ids))
        if self.away > 0:
            self.away -= 1
            raise StoreAway("locked")
        return await super().contents(ids)

    async def keep(self, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
        if not self.keeps:
            raise StoreAway("locked")
        return await super().keep(rendered)


class Bench:
    """A loader at work, with all it needs."""

    def __init__(self, folder: Path) -> None:
        self.store = Weak(folder / "posthouse.db")
        self.journal = opened_journal(folder)
        self.hop = Hop()
        self.breaker: Breaker | None = Breaker(self.hop, 900.0, lambda *_: None)
        self.back: list[tuple[str, str]] = []
        self.settlements: dict[str, Settlement] = {}
        self.templates = folder / "templates"
        self.loader = self._loader(self.templates)

    def _loader(self, templates: Path | None) -> Loader:
        find = finder(self.store)
        back = "bounces@house.example"
        return Loader(self.store, lambda: self.breaker, self._give_back, back, templates, find=find)

    def without_folder(self) -> None:
        """Before its start: as where POSTHOUSE_TEMPLATES is not set."""
        self.loader = self._loader(None)

    async def start(self) -> None:
        await self.store.start()
        self._task = asyncio.create_task(self.loader.run())

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self.store.stop()
        self.journal.close()

    async def attempts(self, count: int = 1, lane: Lane = "transactional", **more) -> list[Attempt]:
        """Claimed messages with their contents in the store."""
        size = more.pop("size", 100)
        await self.store.save([draft(lane=lane, size=size, **more) for _ in range(count)])
        return [self.attempt(message) for message in await self.store.claim("worker", count, LONG, lane=lane)]

    def attempt(self, message: Message) -> Attempt:
        return attempt(message, self.journal, self._finished)

    def template(self, body: str) -> None:
        """What the template `hello` says from now on."""
        place = self.templates / "hello"
        place.mkdir(parents=True, exist_ok=True)
        (place / "subject.txt").write_text("To {{ town }}")
        (place / "body.txt").write_text(body)

    async def push(self, id: str, text: str) -> None:
        """A new version of a template of the catalog."""
        source = Source(subject="To {{ town }}", text=text)
        await self.store.push_template(id, source, press(source), "ann")

    def sent(self) -> list[str]:
        return [envelope.id for envelope in self.hop.sent]

    def _finished(self, done: Attempt, settlement: Settlement) -> None:
        self.settlements[done.id] = settlement
        self.loader.freed(done)

    def _give_back(self, given: Attempt, why: str) -> None:
        self.back.append((given.id, why))
        given.settle([not_begun(why)] * len(given.recipients))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_mail_is_written_and_handed_over(bench: Bench) -> None:
    (one,) = await bench.attempts()
    bench.loader.add([one])
    await eventually(lambda: bench.hop.sent)
    assert bench.hop.sent == [one]
    assert one.breaker is bench.breaker
    assert one.sender == "bounces@house.example"
    assert b"Subject: Horses\r\n" in one.data
    assert one.data.endswith(b"\r\n")


async def test_contents_come_in_chunks_and_transactional_first(bench: Bench) -> None:
    bulk = await bench.attempts(50, lane="bulk")
    quick = await bench.attempts(10)
    bench.loader.add(bulk)
    bench.loader.add(quick)
    await eventually(lambda: len(bench.hop.sent) == 60)
    assert bench.sent() == [each.id for each in [*quick, *bulk]]
    assert [len(chunk) for chunk in bench.store.chunks] == [32, 28]


async def test_memory_is_bounded_and_freed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LOADED", 1000)
    attempts = await bench.attempts(5, size=400)
    bench.loader.add(attempts)
    await eventually(lambda: len(bench.hop.sent) == 2)
    await asyncio.sleep(0)
    assert bench.sent() == [each.id for each in attempts[:2]]
    for number in (3, 4, 5):
        bench.hop.sent[number - 3].done([not_begun("x")])
        await eventually(lambda number=number: len(bench.hop.sent) == number)


async def test_one_that_is_larger_than_the_bound_goes_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And bulk does not overtake it for ever, small as it may be."""
    monkeypatch.setattr(load, "LOADED", 1000)
    (small,) = await bench.attempts(size=10)
    (huge,) = await bench.attempts(size=5000)
    bulk = await bench.attempts(3, lane="bulk", size=10)
    bench.loader.add([small, huge, *bulk])
    await eventually(lambda: bench.hop.sent)
    await asyncio.sleep(0.02)
    assert bench.sent() == [small.id]
    small.done([not_begun("x")])
    await eventually(lambda: len(bench.hop.sent) == 2)
    assert bench.sent() == [small.id, huge.id]
    huge.done([not_begun("x")])
    await eventually(lambda: len(bench.hop.sent) == 5)


async def test_a_large_mail_is_written_apart_and_arrives(bench: Bench) -> None:
    large, small = await bench.attempts(2, size=LARGE + 1)
    small.message.size = 10
    bench.loader.add([large, small])
    await eventually(lambda: len(bench.hop.sent) == 2)
    assert bench.sent() == [small.id, large.id]
    assert large.data


async def test_what_cannot_be_written_is_refused_with_the_reason(bench: Bench) -> None:
    bad, good = [
        *await bench.attempts(content={"headers": {"Bcc": "x@x.example"}}),
        *await bench.attempts(),
    ]
    bench.loader.add([bad, good])
    await eventually(lambda: bench.hop.sent)
    assert bench.sent() == [good.id]
    (decision,) = bench.settlements[bad.id].decisions.values()
    assert (decision.event, decision.outcome.category) == ("fail", "content")
    assert decision.outcome.text


@pytest.mark.parametrize("size", [100, LARGE + 1])
async def test_an_error_of_ours_spends_an_attempt_and_holds_up_nobody(bench: Bench, size: int) -> None:
    """A record that the writer cannot deal with at all: its neighbours are sent."""
    broken, good = await bench.attempts(2)
    broken.message.created_at = "no time at all"  # type: ignore[assignment]
    broken.message.size = size
    bench.loader.add([broken, good])
    await eventually(lambda: good in bench.hop.sent and broken.id in bench.settlements)
    (decision,) = bench.settlements[broken.id].decisions.values()
    assert (decision.event, decision.spent) == ("defer", 1)


async def test_content_that_is_no_longer_kept(bench: Bench) -> None:
    ghost = bench.attempt(claimed(id="no-such-id"))
    bench.loader.add([ghost])
    await eventually(lambda: bench.settlements)
    (decision,) = bench.settlements["no-such-id"].decisions.values()
    assert (decision.event, decision.outcome.text) == ("fail", "its content is no longer kept")


async def test_without_a_transport_it_is_given_back(bench: Bench) -> None:
    bench.breaker = None
    (one,) = await bench.attempts()
    bench.loader.add([one])
    await eventually(lambda: bench.back)
    assert bench.back == [(one.id, "no transport can be used")]


async def test_while_the_store_is_away_it_is_given_back_and_the_next_goes(bench: Bench) -> None:
    one, two = await bench.attempts(2)
    bench.store.away = 1
    bench.loader.add([one])
    await eventually(lambda: bench.back)
    assert bench.back == [(one.id, "the store is away")]
    bench.loader.add([two])
    await eventually(lambda: bench.hop.sent)
    assert bench.sent() == [two.id]


async def test_after_close_everything_is_given_back(bench: Bench) -> None:
    early, late = await bench.attempts(2)
    bench.loader.add([early])
    bench.loader.close()
    bench.loader.add([late])
    await eventually(lambda: len(bench.back) == 2)
    assert {why for _, why in bench.back} == {"shutting down"}
    assert bench.hop.sent == []


TEMPLATED = {"text": None, "subject": "", "template": "hello", "variables": {"town": "Ulm"}}


async def test_a_template_is_rendered_kept_and_then_sent(bench: Bench) -> None:
    bench.template("Come to {{ town }}")
    (one,), (plain,) = await bench.attempts(content=TEMPLATED), await bench.attempts()
    bench.loader.add([one, plain])
    await eventually(lambda: len(bench.hop.sent) == 2)
    assert b"Subject: To Ulm\r\n" in one.data
    assert one.data.endswith(b"\r\n\r\nCome to Ulm\r\n")
    content = (await bench.store.contents([one.id]))[one.id]
    assert (content.subject, content.text, content.template) == ("To Ulm", "Come to Ulm", "hello")


async def test_a_resend_is_the_same_mail_though_the_template_changed(bench: Bench) -> None:
    bench.template("Come to {{ town }}")
    (first,) = await bench.attempts(content=TEMPLATED)
    bench.loader.add([first])
    await eventually(lambda: bench.hop.sent)
    sent = first.data
    await bench.store.release([(first.id, first.message.fence)], 0.0)
    bench.template("Stay in {{ town }}, {{ nobody }}")
    (leased,) = await bench.store.claim("worker", 1, LONG, ids=[first.id])
    again = bench.attempt(leased)
    bench.loader.add([again])
    await eventually(lambda: len(bench.hop.sent) == 2)
    assert again.data == sent


async def test_a_template_that_cannot_be_rendered_refuses_its_mail(bench: Bench) -> None:
    bench.template("{{ nobody }}")
    (one,) = await bench.attempts(content=TEMPLATED)
    bench.loader.add([one])
    await eventually(lambda: bench.settlements)
    (decision,) = bench.settlements[one.id].decisions.values()
    assert (decision.event, decision.outcome.text) == (
        "fail",
        "body.txt, line 1: the variable nobody is missing",
    )


async def test_what_cannot_be_kept_is_not_sent(bench: Bench) -> None:
    bench.template("Come to {{ town }}")
    away, stale = await bench.attempts(2, content=TEMPLATED)
    bench.store.keeps = False
    bench.loader.add([away])
    await eventually(lambda: bench.back)
    bench.store.keeps = True
    stale.message.fence += 1
    bench.loader.add([stale])
    await eventually(lambda: len(bench.back) == 2)
    assert bench.back == [(away.id, "the store is away"), (stale.id, "the lease is over")]
    assert bench.hop.sent == []


def text_of(one: Attempt) -> bytes:
    return one.data.partition(b"\r\n\r\n")[2].strip()


async def test_a_version_of_the_catalog_is_sent_whatever_the_folder_has(bench: Bench) -> None:
    bench.template("folder")
    for text in ("first", "second"):
        await bench.push("hello", text)
    pinned = [
        (await bench.attempts(content=TEMPLATED | {"template_version": version}))[0] for version in (1, 2)
    ]
    bench.loader.add(pinned)
    await eventually(lambda: len(bench.hop.sent) == 2)
    assert [text_of(each) for each in pinned] == [b"first", b"second"]


async def test_without_a_version_the_folder_goes_first(bench: Bench) -> None:
    bench.template("folder")
    for id in ("hello", "other"):
        await bench.push(id, "catalog")
    (one,) = await bench.attempts(content=TEMPLATED)
    (other,) = await bench.attempts(content=TEMPLATED | {"template": "other"})
    bench.loader.add([one, other])
    await eventually(lambda: len(bench.hop.sent) == 2)
    assert (text_of(one), text_of(other)) == (b"folder", b"catalog")


async def test_what_only_another_worker_may_have_is_tried_again(tmp_path: Path) -> None:
    made = Bench(tmp_path)
    made.without_folder()
    await made.start()
    try:
        (unknown,) = await made.attempts(content=TEMPLATED)
        (pinned,) = await made.attempts(content=TEMPLATED | {"template_version": 7})
        made.loader.add([unknown, pinned])
        await eventually(lambda: len(made.settlements) == 2)
        for one, outcome in ((unknown, NOWHERE), (pinned, NOT_HERE)):
            (decision,) = made.settlements[one.id].decisions.values()
            assert (decision.event, decision.outcome) == ("defer", outcome)
    finally:
        await made.stop()
