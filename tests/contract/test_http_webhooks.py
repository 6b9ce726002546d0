"""POST /webhooks/generic over the app and a real store: what a provider tells is in the record, once."""

import base64
import hmac
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from posthouse.feedback.generic import GenericEvent, GenericHook
from posthouse.submission.times import wall_clock
from tests.contract.asgi import MAIL, WEBHOOK_KEY, House, Reply
from tests.contract.asgi import house as opened


class Teller:
    """A provider that signs what it tells."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.told = 0

    async def tell(self, event: Any, *, key: bytes = WEBHOOK_KEY, id: str = "", late: int = 0) -> Reply:
        self.told += 1
        body = event if isinstance(event, bytes) else msgspec.json.encode(event)
        id, at = id or f"event-{self.told}", str(wall_clock() // 1_000_000 - late)
        signature = hmac.new(key, f"{id}.{at}.".encode() + body, sha256).digest()
        headers = {
            "webhook-id": id,
            "webhook-timestamp": at,
            "webhook-signature": "v1," + base64.b64encode(signature).decode(),
        }
        return await self.house.ask("POST", "/webhooks/generic", body, headers=headers)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
def teller(house: House) -> Teller:
    return Teller(house)


def event(type: str = "delivered", **data: Any) -> dict[str, Any]:
    data = {"recipient": "ann@example.org"} | data
    return {"type": type, "timestamp": "2026-11-23T12:00:00Z", "data": data}


async def posted(house: House) -> str:
    reply = await house.ask("POST", "/email/send", MAIL)
    assert reply.status == 202
    return reply.headers["x-message-id"]


async def shown(house: House, id: str) -> Any:
    return (await house.ask("GET", f"/emails/{id}")).json


@pytest.mark.parametrize(
    ("type", "state", "status"),
    [
        ("delivered", "delivered", "SENT"),
        ("bounced", "bounced", "FAILED"),
        ("complained", "complained", "SENT"),
    ],
)
async def test_what_became_of_a_mail(
    house: House, teller: Teller, type: str, state: str, status: str
) -> None:
    id = await posted(house)
    reply = await teller.tell(event(type, id=id, code=550, reason="no such\r\nuser"))
    assert (reply.status, reply.body) == (204, b"")
    record = await shown(house, id)
    assert (record["state"], record["status"]) == (state, status)
    assert record["history"][-1] | {"at": 0} == {
        "at": 0,
        "event": type,
        "recipient": "ann@example.org",
        "attempt": None,
        "transport": None,
        "code": 550,
        "text": "no such  user",
    }


async def test_the_same_event_again_has_no_effect(house: House, teller: Teller) -> None:
    id = await posted(house)
    assert (await teller.tell(event(id=id), id="one")).status == 204
    before = await shown(house, id)
    assert (await teller.tell(event(id=id), id="one")).status == 204
    assert await shown(house, id) == before


async def test_an_unknown_mail_is_kept_and_said_so(house: House, teller: Teller) -> None:
    for names in (
        {"id": "no-such-mail"},
        {"message_id": "<x@y>"},
        {"provider_message_id": "0123456789abcdef"},
    ):
        assert (await teller.tell(event(**names))).status == 202
    id = await posted(house)
    assert (await teller.tell(event(id=id, recipient="somebody@else.example"))).status == 202


async def test_a_bad_signature_is_401_and_read_no_further(house: House, teller: Teller) -> None:
    id = await posted(house)
    before = await shown(house, id)
    for reply in (
        await teller.tell(event(id=id), key=b"guessed"),
        await teller.tell(event(id=id), late=301),
        await teller.tell(b"not json", key=b"guessed"),
        await house.ask("POST", "/webhooks/generic", event(id=id), headers={}),
    ):
        assert reply.status == 401
        assert reply.json["type"] == "urn:posthouse:problem:bad-signature"
    assert await shown(house, id) == before


@pytest.mark.parametrize(
    ("wrong", "pointers"),
    [
        ({}, ["/type", "/timestamp", "/data"]),
        (event("exploded", id="x"), ["/type"]),
        (event(), ["/data/id"]),
        (event(id="x", recipient=" ", code=5), ["/data/recipient", "/data/code"]),
        (event(id=5, permanent="no", more=1), ["/data/more", "/data/id", "/data/permanent"]),
    ],
)
async def test_every_wrong_field_is_named(teller: Teller, wrong: Any, pointers: list[str]) -> None:
    reply = await teller.tell(wrong)
    assert reply.status == 400
    assert sorted(reply.pointers) == sorted(pointers)


async def test_it_needs_no_key_and_counts_towards_no_limit(house: House, teller: Teller) -> None:
    reply = await teller.tell(event(id=await posted(house)))
    assert not [name for name in reply.headers if name.startswith("ratelimit")]
    assert (await house.ask("GET", "/webhooks/generic")).status == 405
    assert (await house.ask("POST", "/webhooks/unheard-of", {})).status == 404


async def listed(house: House) -> list[tuple[str, str, str]]:
    return [(each.email, each.lane, each.reason) for each in await house.store.suppressions(9)]


@pytest.mark.parametrize(
    ("type", "data", "reason"),
    [
        ("bounced", {}, "bounced"),
        ("bounced", {"code": 554, "reason": "5.1.1 no such user"}, "bounced"),
        ("bounced", {"recipient": "Ann <ann@EXAMPLE.org>"}, "bounced"),
        ("bounced", {"reason": "asked 10.5.7.1, which knows no such user"}, "bounced"),
        ("complained", {}, "complained"),
        ("complained", {"permanent": False}, "complained"),
        ("bounced", {"permanent": False}, None),
        ("bounced", {"code": 550, "reason": "550 5.7.26 this mail is not authenticated."}, None),
        ("bounced", {"code": 552, "reason": "5.2.2 the mailbox is full"}, None),
        ("bounced", {"recipient": "nobody"}, None),
        ("deferred", {}, None),
        ("delivered", {}, None),
    ],
)
async def test_who_complains_or_is_not_there_comes_onto_the_suppression_list(
    house: House, teller: Teller, type: str, data: dict[str, Any], reason: str | None
) -> None:
    await teller.tell(event(type, **{"id": await posted(house), **data}))
    assert await listed(house) == ([] if reason is None else [("ann@example.org", "both", reason)])
    assert ((await shown(house, await posted(house)))["state"] == "suppressed") == (reason is not None)


async def test_a_mail_that_is_not_known_counts_too(house: House, teller: Teller) -> None:
    """Its record may be past its time; the provider has signed."""
    assert (await teller.tell(event("complained", id="gone"))).status == 202
    assert await listed(house) == [("ann@example.org", "both", "complained")]
    (act,) = await house.store.acts(9)
    assert (act.by, act.about) == ("webhook generic", "suppression:ann@example.org")


async def test_told_again_it_does_not_undo_what_a_person_did(house: House, teller: Teller) -> None:
    said = event("bounced", id=await posted(house))
    await teller.tell(said, id="event-a")
    assert await house.store.unsuppress(["ann@example.org"], "Cy") == 1
    assert (await teller.tell(said, id="event-a")).status == 204
    assert await listed(house) == []
    await teller.tell(said, id="event-b")
    assert len(await listed(house)) == 1


async def test_told_again_it_mends_what_was_interrupted(house: House, teller: Teller) -> None:
    """The record had it, and we died before the list did."""
    said = event("bounced", id=await posted(house))
    notices = GenericHook([]).notices(
        msgspec.convert(said, GenericEvent), "event-a", msgspec.json.encode(said)
    )
    assert await house.store.hear(notices) == ["applied"]
    assert (await teller.tell(said, id="event-a")).status == 204
    assert len(await listed(house)) == 1
