"""GET /emails/{id}/explain: a mail in sentences."""

from pathlib import Path

from posthouse.mail.outcome import classify
from tests.contract.asgi import house

REFUSED = classify(550, "5.1.1", "no such user")


async def test_a_mail_that_waits(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        id = await h.sent()
        reply = await h.ask("GET", f"/emails/{id}/explain")
    assert reply.status == 200
    assert (reply.json["id"], reply.json["status"], reply.json["state"]) == (id, "PENDING", "pending")
    assert "waits for a worker" in " ".join(reply.json["explanation"])


async def test_a_mail_that_failed(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        id = await h.sent()
        await h.settle(id, REFUSED, "fail")
        reply = await h.ask("GET", f"/emails/{id}/explain")
    assert reply.json["state"] == "failed"
    assert "550 5.1.1 no such user" in " ".join(reply.json["explanation"])


async def test_a_mail_that_is_not_there(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for id in ("no-such", "%00", "a" * 300):
            assert (await h.ask("GET", f"/emails/{id}/explain")).status == 404
