"""The work lists over HTTP: what is asked for wrongly is said, what is left is chosen, and a person is named."""

from pathlib import Path

import pytest

from posthouse.mail.outcome import classify, unknown
from tests.contract.asgi import house

LEFT = "/api/emails/unsettled"
FULL = classify(552, "5.2.2", "mailbox full")
REFUSED = classify(550, "5.1.1", "no such user")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("?state=sent", "/state"),
        ("?state=unknown,failed", "/state"),
        ("?category=nonsense", "/category"),
        ("?domain=a%20b", "/domain"),
        ("?cursor=none", "/cursor"),
        ("/counts?state=sent", "/state"),
        ("/retry?dryRun=yes", "/dryRun"),
        ("/mark-sent?dryRun=True", "/dryRun"),
    ],
)
async def test_a_wrong_argument_is_named(tmp_path: Path, path: str, pointer: str) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("POST" if "dryRun" in path else "GET", LEFT + path)
        assert (reply.status, [each["pointer"] for each in reply.json["errors"]]) == (400, [pointer])


async def test_what_is_chosen_is_listed_counted_and_sent_again(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        ids = [await h.sent() for _ in range(3)]
        for id, outcome in zip(ids, (FULL, REFUSED, REFUSED), strict=True):
            await h.settle(id, outcome, "fail")
        for query, found in (("", ids[::-1]), ("?category=mailbox_full", ids[:1]), ("?domain=x.example", [])):
            items = (await h.ask("GET", LEFT + query)).json["items"]
            assert [item["id"] for item in items] == found
        (only,) = (await h.ask("GET", f"{LEFT}?category=mailbox_full")).json["items"]
        assert (only["subject"], only["recipients"][0]["code"]) == ("Hello", 552)
        query = "?state=failed&category=mailbox_full&dryRun=true"
        assert (await h.ask("POST", f"{LEFT}/retry{query}")).json["totalCount"] == 1
        assert (await h.ask("GET", f"{LEFT}/counts")).json["totalCount"] == 3
        h.hints.clear()
        told = (await h.ask("POST", f"{LEFT}/retry?category=mailbox_full")).json
        assert (told, h.hints) == ({"totalCount": 1, "messageCount": 1}, ids[:1])
        assert (await h.ask("POST", f"{LEFT}/mark-sent")).json == {"totalCount": 0, "messageCount": 0}
        (act,) = (await h.ask("GET", "/api/emails/trail?about=mail:failed")).json["items"]
        assert (act["act"], act["detail"]["categories"]) == ("retried", ["mailbox_full"])


async def test_one_mail_is_marked_as_sent(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        id = await h.sent()
        assert (await h.ask("POST", f"/emails/{id}/mark-sent")).status == 409
        await h.settle(id, unknown("no reply"), "park")
        reply = await h.ask("POST", f"/emails/{id}/mark-sent")
        assert (reply.status, reply.json["status"], reply.json["error"]) == (200, "SENT", None)
        assert reply.json["history"][-1]["text"].startswith("by ")
        assert (await h.ask("POST", "/emails/none/mark-sent")).status == 404
