"""The suppression list over HTTP: who is on it enters suppressed; what is added, listed, taken off, as a file and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Lane
from posthouse.mail.suppression import Reach, Suppression
from posthouse.suppressed import SuppressionList
from tests.contract.asgi import MAIL, House, house

ANN, BOB = "ann@example.org", "bob@example.org"
WHY = "on the suppression list: complained"


async def hold_back(h: House, email: str = ANN, lane: Reach = "both", **more: Any) -> None:
    entry = Suppression(email=email, lane=lane, reason="complained", **more)
    assert await h.store.suppress([entry], "Cy") == 1


async def test_a_mail_to_someone_on_the_list_closes_at_once_and_says_why(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await hold_back(h)
        id = await h.sent(MAIL | {"to": "Ann@Example.org"})
        record = (await h.ask("GET", f"/emails/{id}")).json
        assert (record["status"], record["state"], record["error"]) == ("FAILED", "suppressed", WHY)
        assert (record["attempts"], record["next_attempt_at"]) == (0, None)
        assert record["failed_at"] == record["created_at"]
        assert [each["event"] for each in record["history"]] == ["accepted", "suppressed"]
        assert h.hints == []
        assert await h.store.claim("worker", 9, 60) == []
        assert (await h.ask("POST", f"/emails/{id}/retry")).status == 409


async def test_of_several_recipients_only_those_on_the_list_are_held_back(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await hold_back(h)
        id = await h.sent(MAIL | {"to": [ANN, BOB], "bcc": "cat@example.org"})
        (claimed,) = await h.store.claim("worker", 9, 60)
        assert [each.email for each in claimed.recipients if each.state == "sending"] == [
            BOB,
            "cat@example.org",
        ]
        assert h.hints == [id]
        record = (await h.ask("GET", f"/emails/{id}")).json
        assert (record["status"], record["recipients"][0]["state"]) == ("PENDING", "suppressed")


@pytest.mark.parametrize(
    ("reach", "held"),
    [("both", ["transactional", "bulk"]), ("bulk", ["bulk"]), ("transactional", ["transactional"])],
)
async def test_an_entry_holds_back_mail_of_its_lanes(tmp_path: Path, reach: Reach, held: list[Lane]) -> None:
    async with house(tmp_path) as h:
        await hold_back(h, lane=reach)
        for lane in ("transactional", "bulk"):
            record = await h.ask("GET", f"/emails/{await h.sent(MAIL | {'lane': lane})}")
            assert (record.json["state"] == "suppressed") == (lane in held)


async def test_the_representation_says_it_and_a_repeated_request_says_the_same(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await hold_back(h)
        asked = {"prefer": "return=representation", "idempotency_key": "order-1"}
        first = await h.send(**asked)
        assert (first.status, first.json["state"], first.json["error"]) == (201, "suppressed", WHY)
        await h.store.unsuppress([ANN], "Cy")
        again = await h.send(**asked)
        assert again.json == first.json


async def test_an_entry_that_ends_before_a_mail_is_due_does_not_concern_it(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await hold_back(h, expires_at=2_000_000_000_000_000)  # 2033
        soon = await h.sent(MAIL | {"scheduled_at": "2032-01-01T00:00:00Z"})
        late = await h.sent(MAIL | {"scheduled_at": "2034-01-01T00:00:00Z"})
        states = [(await h.ask("GET", f"/emails/{id}")).json["state"] for id in (soon, late)]
        assert states == ["suppressed", "pending"]


class Away:
    """A list that nobody can read."""

    async def suppressing(self) -> list[Lane]:
        raise StoreAway

    async def suppressed(self, emails: Sequence[str], lane: Lane) -> dict[str, Suppression]:
        raise StoreAway


async def test_no_answer_waits_for_a_list_that_is_away(tmp_path: Path) -> None:
    """The worker asks again."""
    async with house(tmp_path, suppressed=SuppressionList(Away())) as h:
        record = await h.ask("GET", f"/emails/{await h.sent()}")
        assert record.json["state"] == "pending"
