"""Mail is held back from whoever is on the suppression list, right before it is sent and while it waits; and whom a
server does not know comes onto it."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.suppress import BY, FRESH, Suppressor, held_back
from posthouse.mail import advance
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Lane
from posthouse.mail.outcome import Outcome, classify, not_begun
from posthouse.mail.suppression import MAX_NOTE, Suppression
from posthouse.store.sqlite import SqliteStore
from posthouse.suppressed import SuppressionList
from posthouse.testing.store_mail import ACCEPTED
from tests.unit.delivery.parts import attempt, claimed, opened_journal

ANN, BOB = "ann@x.example", "bob@x.example"
WHY = {ANN: "on the suppression list: unsubscribed"}
UNKNOWN = classify(550, "5.1.1", "no such user")


class Listed(SqliteStore):
    """A list that is away while `away`."""

    away = False

    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]:
        if self.away:
            raise StoreAway("locked")
        return await super().suppressed(emails, lane)

    async def suppress(self, entries: Sequence[Suppression], by: str) -> int:
        if self.away:
            raise StoreAway("locked")
        return await super().suppress(entries, by)


class Bench:
    """What a worker has in hand, and a list."""

    def __init__(self, folder: Path) -> None:
        self.store = Listed(folder / "posthouse.db")
        self.known = SuppressionList(self.store)
        self.journal = opened_journal(folder)
        self.settlements: list[Settlement] = []
        self.held: list[Attempt] = []
        self.recalled: list[str] = []
        self.suppressor = Suppressor(self.known, lambda: self.held, self.recalled.extend)

    def attempt(self, *emails: str, lane: Lane = "bulk", id: str = "1") -> Attempt:
        message = claimed(*(emails or (ANN,)), lane=lane, id=id)
        made = attempt(message, self.journal, lambda done, settlement: self.settlements.append(settlement))
        self.held.append(made)
        return made

    async def entry(self, **more: Any) -> None:
        entry = Suppression(**{"email": ANN, "lane": "bulk", "reason": "unsubscribed", **more})
        await self.known.add([entry], "Cy")

    def tried(self, outcome: Outcome, lane: Lane = "bulk") -> None:
        """An attempt for Ann ends like that."""
        made = self.attempt(lane=lane)
        made.settle([outcome])
        self.suppressor.heard(made, self.settlements[-1])

    async def listed(self) -> list[tuple[str, str, str]]:
        return [(each.email, each.lane, each.reason) for each in await self.store.suppressions(9)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.store.start()
    yield made
    await made.store.stop()
    made.journal.close()


async def test_whose_mail_is_held_back_and_why(bench: Bench) -> None:
    await bench.entry()
    attempts = [
        bench.attempt(BOB, ANN, id="1"),
        bench.attempt(BOB, id="2"),
        bench.attempt(lane="transactional", id="3"),
    ]
    assert await held_back(bench.known, attempts) == {"1": WHY}


async def test_the_others_of_a_mail_are_sent_and_settled_with_it(bench: Bench) -> None:
    made = bench.attempt(ANN, BOB)
    made.suppress(WHY)
    assert (list(made.recipients), bench.settlements) == ([BOB], [])
    made.done([ACCEPTED])
    advance.settle(made.message, bench.settlements[0], 5)
    assert [each.state for each in made.message.recipients] == ["suppressed", "sent"]
    held = made.message.recipients[0]
    assert (held.error, held.attempts, held.at) == (WHY[ANN], 0, 5)


async def test_a_mail_of_which_nobody_is_left_is_settled_at_once(bench: Bench) -> None:
    made = bench.attempt()
    made.suppress(WHY)
    advance.settle(made.message, bench.settlements[0], 5)
    message = made.message
    assert (message.state, message.due_at, message.failed_at, message.owner) == ("suppressed", None, 5, None)


async def test_what_is_given_back_beside_it_stays_due(bench: Bench) -> None:
    made = bench.attempt(ANN, BOB)
    made.suppress(WHY)
    made.settle([not_begun("busy")], wait=1.0)
    advance.settle(made.message, bench.settlements[0], 5)
    assert [each.state for each in made.message.recipients] == ["suppressed", "pending"]
    assert made.message.due_at == 1_000_005


async def test_a_deferred_mail_that_is_held_back_no_longer_shows_its_last_reply(bench: Bench) -> None:
    made = bench.attempt()
    made.done([classify(451, "4.3.0", "later")])
    advance.settle(made.message, bench.settlements[0], 5)
    advance.claim(made.message, "worker", 60)
    again = attempt(
        made.message, bench.journal, lambda done, settlement: bench.settlements.append(settlement)
    )
    again.suppress(WHY)
    advance.settle(made.message, bench.settlements[1], 6)
    (recipient,) = made.message.recipients
    assert (recipient.state, recipient.attempts, recipient.code, recipient.category) == (
        "suppressed",
        1,
        None,
        None,
    )
    assert [each.event for each in made.message.history] == ["accepted", "deferred", "suppressed"]


async def test_what_bounced_and_a_person_sends_again_is_sent(bench: Bench) -> None:
    await bench.entry(reason="bounced")
    made = bench.attempt()
    assert await held_back(bench.known, [made])
    made.done([UNKNOWN])
    advance.settle(made.message, bench.settlements[0], 5)
    advance.retry(made.message, 6, 60.0)
    assert await held_back(bench.known, [made]) == {}
    await bench.store.unsuppress([ANN], "Cy")
    await bench.entry(reason="complained")
    assert await held_back(bench.known, [made])


async def test_what_waits_for_somebody_who_comes_onto_the_list_is_recalled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, new, begun = (bench.attempt(id=id) for id in ("1", "2", "3"))
    waits.started -= FRESH + 1
    begun.started, begun.begun = waits.started, True
    await bench.suppressor.look()
    assert bench.recalled == []
    await bench.entry()
    await bench.suppressor.look()
    assert bench.recalled == [waits.id]
    assert new.recipients


async def test_an_address_that_a_server_does_not_know_is_left_out_of_bulk(bench: Bench) -> None:
    bench.tried(UNKNOWN)
    assert await bench.listed() == []
    bench.store.away = True
    with pytest.raises(StoreAway):
        await bench.suppressor.flush()
    bench.store.away = False
    await bench.suppressor.flush()
    await bench.suppressor.flush()
    assert await bench.listed() == [(ANN, "bulk", "bounced")]
    (act,) = await bench.store.acts(9)
    assert (act.by, act.detail["note"]) == (BY, "no such user")


@pytest.mark.parametrize(
    ("outcome", "lane"),
    [
        (UNKNOWN, "transactional"),
        (classify(550, None, "no such user"), "bulk"),
        (classify(550, "5.7.1", "we do not like you"), "bulk"),
        (classify(552, "5.2.2", "mailbox full"), "bulk"),
        (classify(450, "4.1.1", "not yet"), "bulk"),
        (ACCEPTED, "bulk"),
    ],
)
async def test_nothing_else_that_a_server_says_puts_an_address_on_the_list(
    bench: Bench, outcome: Outcome, lane: Lane
) -> None:
    bench.tried(outcome, lane)
    await bench.suppressor.flush()
    assert await bench.listed() == []


async def test_a_servers_words_are_cut(bench: Bench) -> None:
    bench.tried(classify(550, "5.1.1", "x" * 9000))
    await bench.suppressor.flush()
    (entry,) = await bench.store.suppressions(9)
    assert entry.note == "x" * MAX_NOTE
