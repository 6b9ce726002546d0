"""The builder: the same bytes as here, in another process; without that process, after its death, or when it hangs, the
mails are written here."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import msgspec
import pytest

from posthouse.delivery import build
from posthouse.delivery.apart import Away
from posthouse.delivery.build import WORTH, Builder
from posthouse.delivery.builder import write_or_refuse
from posthouse.mail.message import Content, Mailbox, Message
from posthouse.mail.outcome import Outcome
from posthouse.mail.unsubscribe import Links, key_of
from tests.unit.delivery.parts import claimed, eventually


def letters(count: int = WORTH, text: str = "Dear Ann") -> list[tuple[Message, Content]]:
    sender, to = Mailbox("bob@x.example"), (Mailbox("ann@x.example", "Änn"),)
    return [
        (claimed(id=f"id-{n}"), Content(sender=sender, to=to, subject=f"№ {n}", html=f"<p>{text} {n}</p>"))
        for n in range(count)
    ]


@pytest.fixture
async def builder() -> AsyncIterator[Builder]:
    made = Builder()
    assert not made.ready_for(WORTH)
    await eventually(lambda: made.ready_for(WORTH))
    yield made
    await made.stop()


def pid(builder: Builder) -> int:
    assert builder._apart.process is not None
    return builder._apart.process.pid


def test_a_few_mails_start_no_process() -> None:
    builder = Builder()
    assert not builder.ready_for(WORTH - 1)
    assert builder._starting is None


async def test_the_bytes_are_the_same(builder: Builder) -> None:
    mails = letters(50)
    assert await builder.build(mails) == [write_or_refuse(*mail) for mail in mails]


async def test_bulk_mail_has_its_link_and_no_other_mail_has() -> None:
    links = Links("https://post.example", key_of("a secret of the house, long enough"))
    made = Builder(links)
    made.ready_for(WORTH)
    await eventually(lambda: made.ready_for(WORTH))
    mails = [(msgspec.structs.replace(one, lane="bulk"), content) for one, content in letters(2)]
    built = await made.build([*mails, *letters(1)])
    await made.stop()
    assert built[0] == write_or_refuse(*mails[0], links.of(mails[0][1]))
    assert [
        b"List-Unsubscribe: <https://post.example/u/" in data for data in built if isinstance(data, bytes)
    ] == [
        True,
        True,
        False,
    ]


async def test_chunks_in_the_air_are_answered_each_by_its_own(builder: Builder) -> None:
    chunks = [letters(20, "x" * size) for size in (100_000, 10, 1000)]
    answers = await asyncio.gather(*map(builder.build, chunks))
    assert answers == [[write_or_refuse(*mail) for mail in chunk] for chunk in chunks]


async def test_what_cannot_be_written_comes_back_as_its_outcome(builder: Builder) -> None:
    (message, content), *others = letters(3)
    bad = (message, Content(sender=content.sender, to=content.to, headers={"Bcc": "x@x.example"}, text="x"))
    outcome, *rest = await builder.build([bad, *others])
    assert isinstance(outcome, Outcome) and outcome.result == "refused"
    assert all(isinstance(each, bytes) for each in rest)


async def test_a_record_that_cannot_be_read_leaves_it_alive(builder: Builder) -> None:
    (message, content), *others = letters(3)
    message.created_at = "no time"  # type: ignore[assignment]
    with pytest.raises(Away):
        await builder.build([(message, content), *others])
    assert len(await builder.build(others)) == 2


async def test_after_its_death_it_is_started_again(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = pid(builder)
    os.kill(dead, signal.SIGSTOP)
    asked = [asyncio.ensure_future(builder.build(letters())) for _ in range(2)]
    await asyncio.sleep(0)
    os.kill(dead, signal.SIGKILL)
    for each in asked:
        with pytest.raises(Away):
            await each
    assert not builder.ready_for(WORTH), "not at once: it may die again"
    monkeypatch.setattr(builder, "_not_before", 0.0)
    await eventually(lambda: builder.ready_for(WORTH))
    assert pid(builder) != dead
    assert len(await builder.build(letters())) == WORTH


async def test_one_that_hangs_is_ended(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "ANSWER", 0.05)
    process = builder._apart.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(Away):
        await builder.build(letters())
    assert process.returncode == -signal.SIGKILL


async def test_signals_of_the_terminal_do_not_end_it(builder: Builder) -> None:
    """The worker drains, and needs it meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid(builder), number)
    assert len(await builder.build(letters())) == WORTH


async def test_stop_ends_the_process() -> None:
    builder = Builder()
    builder.ready_for(WORTH)
    await eventually(lambda: builder.ready_for(WORTH))
    process = builder._apart.process
    await builder.stop()
    assert process is not None and process.returncode is not None
    await builder.stop()
