"""GET /emails/{id}, POST /emails/{id}/retry and GET /email/logs in both forms (DESIGN §6)."""

import re
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.outcome import classify
from posthouse.submission.auth import make_key
from tests.contract.asgi import MAIL, House, Reply, house

REFUSED = classify(550, "5.1.1", "no such user")
DEFERRED = classify(450, "4.2.1", "later")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_a_mail_is_shown_as_a_superset_of_resends_object(tmp_path: Path) -> None:
    mail = MAIL | {
        "to": ["Ann <ann@example.org>"],
        "cc": "bob@example.org",
        "reply_to": "r@example.org",
        "tags": ["t"],
    }
    async with house(tmp_path) as h:
        id = await h.sent(mail)
        reply = await h.ask("GET", f"/emails/{id}")
    shown = reply.json
    assert reply.status == 200
    assert TIME.fullmatch(shown.pop("created_at"))
    assert TIME.fullmatch(shown.pop("next_attempt_at"))
    assert TIME.fullmatch(shown["history"][0].pop("at"))
    recipient = {
        "state": "pending",
        "attempts": 0,
        "code": None,
        "enhanced_code": None,
        "error": None,
        "at": None,
    }
    assert shown == {
        "object": "email",
        "id": id,
        "message_id": f"<{id}@post.example>",
        "from": "posthouse@post.example",
        "to": ["Ann <ann@example.org>"],
        "cc": ["bob@example.org"],
        "bcc": [],
        "reply_to": ["r@example.org"],
        "subject": "Hello",
        "html": None,
        "text": "Hi Ann",
        "template": None,
        "variables": None,
        "tags": ["t"],
        "status": "PENDING",
        "state": "pending",
        "last_event": "queued",
        "lane": "transactional",
        "error": None,
        "attempts": 0,
        "uncertain": 0,
        "scheduled_at": None,
        "sent_at": None,
        "delivered_at": None,
        "failed_at": None,
        "recipients": [{"email": "ann@example.org"} | recipient, {"email": "bob@example.org"} | recipient],
        "history": [
            {
                "event": "accepted",
                "recipient": None,
                "attempt": None,
                "transport": None,
                "code": None,
                "text": None,
            }
        ],
    }


@pytest.mark.parametrize(
    ("code", "event", "status", "last_event"),
    [
        (250, "accept", "SENT", "sent"),
        (550, "fail", "FAILED", "failed"),
        (450, "defer", "PENDING", "delivery_delayed"),
    ],
)
async def test_what_attempts_gave_is_shown(
    tmp_path: Path, code: int, event: str, status: str, last_event: str
) -> None:
    async with house(tmp_path) as h:
        id = await h.sent()
        await h.settle(id, classify(code, None, "said"), event)
        shown = (await h.ask("GET", f"/emails/{id}")).json
    assert (shown["status"], shown["last_event"], shown["attempts"]) == (status, last_event, 1)
    assert shown["recipients"][0]["code"] == code
    assert shown["history"][0]["event"] == "accepted"
    assert (shown["sent_at"] is not None, shown["failed_at"] is not None) == (
        status == "SENT",
        status == "FAILED",
    )


@pytest.mark.parametrize(
    "id", ["nothing", "0199d0a5-0000-7000-8000-000000000000", "%00", "%20", "{id}", "x" * 300, "é"]
)
async def test_an_unknown_id_is_404(tmp_path: Path, id: str) -> None:
    async with house(tmp_path) as h:
        for method, path in (("GET", f"/emails/{id}"), ("POST", f"/emails/{id}/retry")):
            reply = await h.ask(method, path)
            assert (reply.status, reply.json["type"]) == (404, "urn:posthouse:problem:not-found")


async def test_a_failed_mail_is_sent_again_and_only_a_failed_one(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        id = await h.sent()
        refused = await h.ask("POST", f"/emails/{id}/retry")
        assert (refused.status, refused.json["type"]) == (409, "urn:posthouse:problem:nothing-to-retry")
        await h.settle(id, REFUSED, "fail")
        h.hints.clear()
        reply = await h.ask("POST", f"/emails/{id}/retry")
        assert (reply.status, reply.json["state"], reply.json["text"]) == (200, "pending", "Hi Ann")
        assert reply.json["failed_at"] is not None
        assert h.hints == [id]
        assert (await h.ask("POST", f"/emails/{id}/retry")).status == 409


async def test_a_mail_whose_body_is_no_longer_kept(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        id = await h.sent()
        await h.settle(id, REFUSED, "fail")
        while await h.store.prune(0.0, None):
            pass
        shown = (await h.ask("GET", f"/emails/{id}")).json
        assert (shown["subject"], shown["to"], shown["from"]) == (
            "Hello",
            ["ann@example.org"],
            "posthouse@post.example",
        )
        assert (shown["text"], shown["html"]) == (None, None)
        (item,) = (await h.ask("GET", "/email/logs")).json["items"]
        assert (item["subject"], item["body"], item["body_truncated"]) == ("Hello", None, False)
        refused = await h.ask("POST", f"/emails/{id}/retry")
        assert (refused.status, refused.json["type"]) == (409, "urn:posthouse:problem:nothing-to-retry")
        assert "no longer kept" in refused.json["detail"]
        assert (await h.ask("GET", f"/emails/{id}")).json == shown


async def test_scopes_of_the_records(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        id = await h.sent()
        for scope, statuses in (
            ("logs", [200, 200, 403]),
            ("send", [403, 403, 409]),
            ("admin", [200, 200, 409]),
        ):
            key, plain = make_key(scope, [scope])  # type: ignore[list-item]
            await h.store.add_api_key(key)
            await h.keys.refresh()
            headers = {"x-api-key": plain}
            calls = (("GET", f"/emails/{id}"), ("GET", "/email/logs"), ("POST", f"/emails/{id}/retry"))
            assert [(await h.ask(*each, headers=headers)).status for each in calls] == statuses


async def _three(h: House) -> list[str]:
    return [await h.sent(MAIL | {"subject": f"{n}"}) for n in range(3)]


def _ids(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [item["id"] for item in reply.json["items"]]


async def test_pages_are_ascending_and_counted(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        ids = await _three(h)
        first = await h.ask("GET", "/email/logs?page=1&limit=2")
        assert _ids(first) == ids[:2]
        assert first.json["pagination"] == {"page": 1, "limit": 2, "total": 3, "total_pages": 2}
        assert first.headers["link"] == (
            '</email/logs?limit=2&page=1>; rel="first", </email/logs?limit=2&page=2>; rel="next"'
        )
        second = await h.ask("GET", "/email/logs?page=2&limit=2")
        assert _ids(second) == ids[2:]
        assert 'rel="prev"' in second.headers["link"] and 'rel="next"' not in second.headers["link"]
        past = await h.ask("GET", "/email/logs?page=99&limit=2")
        assert _ids(past) == []


@pytest.mark.parametrize(
    ("query", "page", "limit"),
    [
        ("page=", 1, 20),
        ("page=abc&limit=xyz", 1, 20),
        ("page=0&limit=0", 1, 1),
        ("page=-5&limit=-5", 1, 1),
        ("page=1.5&limit=1e3", 1, 20),
        ("page=%202%20&limit=1000", 2, 100),
        ("page=99999999999999999999&limit=7", 1_000_000_000, 7),
        ("page=%D9%A3", 1, 20),
        ("page=1&page=2", 2, 20),
    ],
)
async def test_paging_is_sanitised(tmp_path: Path, query: str, page: int, limit: int) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("GET", f"/email/logs?{query}")
    assert reply.json["pagination"] == {"page": page, "limit": limit, "total": 0, "total_pages": 0}


async def test_the_cursor_walks_from_the_newest_to_the_oldest(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        ids = await _three(h)
        first = await h.ask("GET", "/email/logs?limit=2")
        assert _ids(first) == [ids[2], ids[1]]
        assert first.json["pagination"] == {"limit": 2, "next_cursor": ids[1], "total": 3}
        assert f'</email/logs?limit=2&cursor={ids[1]}>; rel="next"' in first.headers["link"]
        second = await h.ask("GET", f"/email/logs?limit=2&cursor={ids[1]}")
        assert _ids(second) == [ids[0]]
        assert second.json["pagination"]["next_cursor"] is None
        assert 'rel="next"' not in second.headers["link"]


async def test_without_arguments_it_is_the_cursor_form_with_twenty(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("GET", "/email/logs")
    assert reply.json["pagination"] == {"limit": 20, "next_cursor": None, "total": 0}


@pytest.mark.parametrize(
    "cursor", ["nonsense", "%00", "a%20b", "x" * 300, "0199d0a5-0000-7000-8000-000000000000"]
)
async def test_a_malformed_cursor_is_400(tmp_path: Path, cursor: str) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("GET", f"/email/logs?cursor={cursor}")
    assert (reply.status, reply.pointers) == (400, ["/cursor"])


async def test_filters_choose_and_are_not_counted(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        ann = await h.sent(MAIL | {"tags": ["a"]})
        bob = await h.sent(MAIL | {"to": "bob@example.org"})
        await h.settle(bob, REFUSED, "fail")
        wanted: dict[str, list[str]] = {
            "status=failed": [bob],
            "status=PENDING": [ann],
            "status=Sent": [],
            "recipient=bob@EXAMPLE.org": [bob],
            "tag=a": [ann],
            "campaign=c": [],
            "from=2020-01-01": [bob, ann],
            "to=2020-01-01": [],
            "from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00+01:00": [bob, ann],
            "from=2020-01-01&status=failed&recipient=bob@example.org": [bob],
        }
        for query, ids in wanted.items():
            reply = await h.ask("GET", f"/email/logs?{query}")
            assert _ids(reply) == ids, query
            assert "total" not in reply.json["pagination"]
        today = (await h.ask("GET", "/email/logs")).json["today"]["date"]
        assert _ids(await h.ask("GET", f"/email/logs?from={today}&to={today}")) == [bob, ann]


async def test_links_keep_the_filters(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await _three(h)
        reply = await h.ask("GET", "/email/logs?limit=1&recipient=ann%40example.org&tz=Europe/Berlin")
        assert "recipient=ann%40example.org&tz=Europe%2FBerlin&limit=1&cursor=" in reply.headers["link"]


@pytest.mark.parametrize("name", ["status", "recipient", "campaign", "tag", "from", "to"])
async def test_a_page_with_a_filter_is_400(tmp_path: Path, name: str) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("GET", f"/email/logs?page=1&{name}=x")
    assert (reply.status, reply.pointers) == (400, [f"/{name}"])


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("status=OPEN", ["/status"]),
        ("recipient=nobody", ["/recipient"]),
        ("from=yesterday&to=2026-13-01", ["/from", "/to"]),
        ("to=9999-12-31", ["/to"]),
        ("tag=%00", ["/tag"]),
        ("campaign=", ["/campaign"]),
        ("tz=Mars/Base", ["/tz"]),
        ("tz=../../etc/passwd", ["/tz"]),
        ("tz=America", ["/tz"]),
        ("tz=", ["/tz"]),
    ],
)
async def test_a_wrong_filter_is_named_and_not_repeated(
    tmp_path: Path, query: str, pointers: list[str]
) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("GET", f"/email/logs?{query}")
    assert (reply.status, reply.pointers) == (400, pointers)
    assert query.rpartition("=")[2] == "" or query.rpartition("=")[2].encode() not in reply.body


async def test_an_item_has_what_the_list_shows(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        id = await h.sent(MAIL | {"to": ["Ann <ann@example.org>", "bob@example.org"], "body": "x" * 10_001})
        item: dict[str, Any] = (await h.ask("GET", "/email/logs")).json["items"][0]
    assert TIME.fullmatch(item.pop("created_at"))
    assert item.pop("body") == "x" * 10_000
    assert item == {
        "id": id,
        "from": "posthouse@post.example",
        "to": "ann@example.org, bob@example.org",
        "subject": "Hello",
        "body_truncated": True,
        "status": "PENDING",
        "state": "pending",
        "error": None,
        "attempts": 0,
        "sent_at": None,
        "failed_at": None,
    }


async def test_today_counts_what_happened_in_the_day(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        ids = await _three(h)
        await h.settle(ids[0], classify(250, None, "ok"), "accept")
        await h.settle(ids[1], REFUSED, "fail")
        await h.settle(ids[2], DEFERRED, "defer")
        today = (await h.ask("GET", "/email/logs")).json["today"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", today.pop("date"))
        assert today == {"created": 3, "sent": 1, "failed": 1}
        dates = [
            (await h.ask("GET", f"/email/logs?tz={zone}")).json["today"]["date"]
            for zone in ("Pacific/Kiritimati", "Pacific/Niue")
        ]
        assert dates[0] > dates[1]


async def test_a_store_that_is_away_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise StoreAway("gone")

    async with house(tmp_path) as h:
        id = await h.sent()
        monkeypatch.setattr(h.store, "get", gone)
        monkeypatch.setattr(h.store, "page", gone)
        for path in (f"/emails/{id}", "/email/logs", "/email/logs?page=1"):
            reply = await h.ask("GET", path)
            assert (reply.status, reply.json["type"]) == (503, "urn:posthouse:problem:unavailable")
            assert "retry-after" in reply.headers


async def test_every_wrong_argument_is_named_beside_a_wrong_cursor(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask(
            "GET", "/email/logs?cursor=%C3%A9&status=SECRET&from=SECRET&tz=SECRET&recipient=SECRET"
        )
    assert (reply.status, sorted(reply.pointers)) == (
        400,
        ["/cursor", "/from", "/recipient", "/status", "/tz"],
    )
    assert b"SECRET" not in reply.body
