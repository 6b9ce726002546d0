"""POST /email/send: what is taken, what is refused and how it is named, and what is answered (DESIGN §6)."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Mailbox
from posthouse.mail.outcome import classify
from posthouse.submission.compose import Rules
from posthouse.submission.request import SendRequest
from tests.contract.asgi import MAIL, House, house

NAMES = [field.encode_name for field in msgspec.structs.fields(SendRequest)]


async def test_a_mail_is_accepted_with_an_empty_202(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await h.send()
        id = reply.headers["x-message-id"]
        assert (reply.status, reply.body, reply.headers["content-length"]) == (202, b"", "0")
        assert reply.headers["location"] == f"/emails/{id}"
        found = await h.store.get(id)
        assert found is not None and found[1] is not None
        assert found[0].message_id == f"<{id}@post.example>"
        assert found[1].text == "Hi Ann"
        assert found[1].sender.email == "posthouse@post.example"
        assert h.hints == [id]


async def test_everything_a_mail_can_have_is_kept(tmp_path: Path) -> None:
    mail = {
        "from": "Shop <shop@example.org>",
        "to": ["Ann <ann@example.org>", "bob@EXAMPLE.org"],
        "cc": "cat@example.org",
        "bcc": ["dan@example.org"],
        "reply_to": ["help@example.org"],
        "subject": "Grüße",
        "html": "<p>Hi</p>",
        "text": "Hi",
        "headers": {"X-Shop": "7"},
        "attachments": [{"filename": "a.pdf", "content": base64.b64encode(b"%PDF").decode()}],
        "tags": ["welcome", "welcome", "new"],
        "lane": "bulk",
    }
    async with house(tmp_path) as h:
        found = await h.store.get(await h.sent(mail))
    assert found is not None and found[1] is not None
    message, content = found
    assert [(r.email, r.kind) for r in message.recipients] == [
        ("ann@example.org", "to"),
        ("bob@example.org", "to"),
        ("cat@example.org", "cc"),
        ("dan@example.org", "bcc"),
    ]
    assert (message.lane, message.tags) == ("bulk", ("welcome", "new"))
    assert content.sender == Mailbox("shop@example.org", "Shop")
    assert content.attachments[0].content == b"%PDF"
    assert content.attachments[0].content_type == "application/pdf"
    assert (content.html, content.text, content.headers) == ("<p>Hi</p>", "Hi", {"X-Shop": "7"})


async def test_an_address_named_twice_is_one_recipient_of_the_first_kind(tmp_path: Path) -> None:
    mail = MAIL | {
        "to": ["ann@example.org", "ann@EXAMPLE.ORG"],
        "cc": "ann@example.org",
        "bcc": "bob@example.org",
    }
    async with house(tmp_path) as h:
        found = await h.store.get(await h.sent(mail))
    assert found is not None and found[1] is not None
    assert [(r.email, r.kind) for r in found[0].recipients] == [
        ("ann@example.org", "to"),
        ("bob@example.org", "bcc"),
    ]
    assert (found[1].to, found[1].cc) == ((Mailbox("ann@example.org"),), ())


async def test_a_body_that_looks_like_html_is_html(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await h.send(MAIL | {"body": "<p>Hi <b>Ann</b></p>"}, prefer="return=representation")
    assert (reply.json["html"], reply.json["text"]) == ("<p>Hi <b>Ann</b></p>", None)


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"to": None}, ["/to"]),
        ({"to": []}, ["/to"]),
        ({"to": ""}, ["/to"]),
        ({"to": "nobody"}, ["/to"]),
        ({"to": ["ann@example.org", "nobody", 7]}, ["/to/2", "/to/1"]),
        ({"to": [f"a{n}@example.org" for n in range(51)]}, ["/to"]),
        (
            {"to": [f"a{n}@example.org" for n in range(30)], "bcc": [f"b{n}@example.org" for n in range(30)]},
            ["/bcc"],
        ),
        ({"to": "ann@example.org\r\nBcc: eve@example.org"}, ["/to"]),
        ({"from": "nobody"}, ["/from"]),
        ({"subject": None}, ["/subject"]),
        ({"subject": " "}, ["/subject"]),
        ({"subject": "a\r\nBcc: eve@example.org"}, ["/subject"]),
        ({"subject": "a\x7f"}, ["/subject"]),
        ({"body": None}, ["/body"]),
        ({"body": ""}, ["/body"]),
        ({"body": "a\x00b"}, ["/body"]),
        ({"body": "a\x1bb"}, ["/body"]),
        ({"html": "<p>x</p>"}, ["/body"]),
        ({"headers": {"X-A": "a\r\nBcc: eve@example.org"}}, ["/headers/X-A"]),
        ({"headers": {"Bcc": "eve@example.org"}}, ["/headers/Bcc"]),
        ({"headers": {"X/~": 1}}, ["/headers/X~1~0"]),
        ({"attachments": [{"filename": "a"}]}, ["/attachments/0/content"]),
        ({"attachments": [{"filename": "a", "content": "%%%"}]}, ["/attachments/0/content"]),
        (
            {"attachments": [{"filename": "a\n", "content": ""}, 5]},
            ["/attachments/1", "/attachments/0/filename"],
        ),
        ({"attachments": [{"filename": "a", "content": "", "path": "/etc"}]}, ["/attachments/0/path"]),
        ({"tags": ["ok", "\n", 1]}, ["/tags/2", "/tags/1"]),
        ({"tags": {"name": "x"}}, ["/tags"]),
        ({"template": "welcome", "body": None}, ["/template"]),
        ({"variables": {}}, ["/variables"]),
        ({"scheduled_at": "tomorrow"}, ["/scheduled_at"]),
        ({"scheduled_at": "2030-01-01T00:00:00"}, ["/scheduled_at"]),
        ({"expires_at": "2020-01-01T00:00:00Z"}, ["/expires_at"]),
        ({"scheduled_at": "2990-01-02T00:00:00Z", "expires_at": "2990-01-01T00:00:00Z"}, ["/expires_at"]),
        ({"lane": "SECRET"}, ["/lane"]),
        ({"unknown": 1, "a/b\x01": 2}, ["/unknown", "/a~1b\ufffd"]),
        (
            {"to": 5, "subject": 5, "body": 5, "from": "x", "lane": 1},
            ["/to", "/subject", "/body", "/lane", "/from"],
        ),
    ],
)
async def test_every_wrong_field_is_named(
    tmp_path: Path, change: dict[str, Any], pointers: list[str]
) -> None:
    mail = {name: value for name, value in (MAIL | change).items() if value is not None}
    async with house(tmp_path) as h:
        reply = await h.send(mail)
        assert reply.status == 400
        assert reply.pointers == pointers
        assert b"SECRET" not in reply.body
        assert b"eve@" not in reply.body
        assert h.hints == []


async def test_a_long_unknown_name_is_cut(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await h.send(MAIL | {"x" * 5000: 1})
    assert len(reply.body) < 1000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nothing",
        b'{"to": "\xff"}',
        b'{"to": "a@example.org", "subject": "\\ud800", "body": "x"}',
        b'{"to": "a@example.org", "subject": "\\udc00", "body": "x"}',
        b'{"to": "a@example.org", "subject": "\xed\xa0\x80", "body": "x"}',
        b'{"x":' + b"[" * 50_000,
        b'{"variables":' + b'{"a":' * 15_000,
        b"[" * 50_000,
        b'{"to": "a@example.org", "subject": "a\nb", "body": "x"}',
        b"\xef\xbb\xbf{}",
        b'{} {"to": 1}',
    ],
)
async def test_what_is_not_json_is_malformed(tmp_path: Path, raw: bytes) -> None:
    async with house(tmp_path) as h:
        reply = await h.send(raw)
    assert reply.status == 400
    assert reply.json["type"] == "urn:posthouse:problem:malformed"


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"x"', b"1"])
async def test_json_that_is_no_object_is_named_as_such(tmp_path: Path, raw: bytes) -> None:
    async with house(tmp_path) as h:
        reply = await h.send(raw)
    assert (reply.status, reply.pointers) == (400, [""])


async def test_of_two_members_with_one_name_the_last_counts(tmp_path: Path) -> None:
    raw = b'{"to": "eve@example.org", "to": "ann@example.org", "subject": "s", "body": "b"}'
    async with house(tmp_path) as h:
        found = await h.store.get(await h.sent(raw))
    assert found is not None
    assert [recipient.email for recipient in found[0].recipients] == ["ann@example.org"]


async def test_line_ends_and_tabs_are_fine_in_a_body(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        assert (await h.send(MAIL | {"body": "a\tb\r\nc\nd\re"})).status == 202


async def test_too_much_text_is_413_and_attachments_do_not_count(tmp_path: Path) -> None:
    rules = Rules(sender=Mailbox("p@post.example"), max_text=1000)
    files = [{"filename": "a", "content": base64.b64encode(bytes(2000)).decode()}]
    async with house(tmp_path, rules=rules) as h:
        assert (await h.send(MAIL | {"body": "x" * 1001})).status == 413
        assert (await h.send(MAIL | {"body": "ü" * 600})).status == 413
        assert (await h.send(MAIL | {"headers": {"X-A": "x " * 500}})).status == 413
        assert (await h.send(MAIL | {"attachments": files})).status == 202


async def test_a_large_mail_is_read_in_a_thread_and_accepted(tmp_path: Path) -> None:
    async with house(tmp_path, max_body=3_000_000) as h:
        assert (await h.send(MAIL | {"body": "x " * 1_000_000})).status == 202
        assert (await h.send({"subject": "x" * 2_000_000})).pointers == ["/to", "/body", "/subject"]


async def test_only_the_allowed_domains_may_be_senders(tmp_path: Path) -> None:
    rules = Rules(sender=Mailbox("post@other.example"), domains=frozenset({"example.org"}))
    async with house(tmp_path, rules=rules) as h:
        assert (await h.send(MAIL | {"from": "a@EXAMPLE.org"})).status == 202
        assert (await h.send(MAIL | {"from": "a@evil.example"})).pointers == ["/from"]
        assert (await h.send()).status == 202


async def test_a_scheduled_mail_waits_and_a_past_time_means_now(tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with house(tmp_path) as h:
        waiting = await h.send(MAIL | {"scheduled_at": later.isoformat()}, prefer="return=representation")
        assert waiting.json["last_event"] == "scheduled"
        assert waiting.json["next_attempt_at"] == waiting.json["scheduled_at"]
        assert h.hints == []
        past = await h.send(MAIL | {"scheduled_at": "2020-01-01T00:00:00Z"}, prefer="return=representation")
        assert (past.json["scheduled_at"], past.json["last_event"]) == (None, "queued")
        assert h.hints == [past.json["id"]]


async def test_the_record_comes_with_201_where_it_is_preferred(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await h.send(prefer="respond-async, return=representation; x=1")
        assert (reply.status, reply.headers["preference-applied"]) == (201, "return=representation")
        assert reply.headers["vary"] == "Prefer"
        assert (reply.json["id"], reply.json["status"]) == (reply.headers["x-message-id"], "PENDING")
        assert (await h.send(prefer="return=nonsense")).status == 202


async def test_201_can_be_the_rule_and_minimal_the_wish(tmp_path: Path) -> None:
    async with house(tmp_path, send_reply=201) as h:
        assert (await h.send()).status == 201
        reply = await h.send(prefer="return=minimal")
        assert (reply.status, reply.body, reply.headers["preference-applied"]) == (202, b"", "return=minimal")


async def test_a_repeated_request_gets_the_first_answer(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        first = await h.send(idempotency_key="order-7", prefer="return=representation")
        await h.settle(first.json["id"], classify(250, "2.0.0", "ok"), "accept")
        again = await h.send(idempotency_key='"order-7"', prefer="return=representation")
        assert (again.status, again.headers, again.json) == (first.status, first.headers, first.json)
        assert len((await h.ask("GET", "/email/logs")).json["items"]) == 1
        other = await h.send(MAIL | {"subject": "Other"}, idempotency_key="order-7")
        assert (other.status, other.json["type"]) == (422, "urn:posthouse:problem:idempotency-key-reused")


async def test_a_refused_request_does_not_use_its_key_up(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        assert (await h.send({"to": "x"}, idempotency_key="k")).status == 400
        assert (await h.send(idempotency_key="k")).status == 202


@pytest.mark.parametrize("key", ["", '""', '"open', "a\tb", "é", "x" * 256, '"a"b"'])
async def test_a_malformed_key_is_refused(tmp_path: Path, key: str) -> None:
    async with house(tmp_path) as h:
        reply = await h.send(idempotency_key=key)
    assert (reply.status, reply.json["type"]) == (400, "urn:posthouse:problem:idempotency-key-malformed")


@pytest.mark.parametrize("key", ["x", "x" * 255, '"a \\"quoted\\" one"', "a b~"])
async def test_a_good_key_is_taken(tmp_path: Path, key: str) -> None:
    async with house(tmp_path) as h:
        assert (await h.send(idempotency_key=key)).status == 202


async def test_a_storm_of_equal_requests_makes_one_mail(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        replies = await asyncio.gather(*(h.send(idempotency_key="storm") for _ in range(50)))
        assert {reply.status for reply in replies} == {202}
        assert len({reply.headers["x-message-id"] for reply in replies}) == 1
        assert len(h.hints) == 1


class Held:
    """A real store whose saves wait at a gate: a slow disk, or one that is away."""

    def __init__(self, path: Path, error: Exception | None = None) -> None:
        self.path, self.error = path, error
        self.gate = asyncio.Event()
        self.store: Any = None

    async def save(self, drafts: Any) -> Any:
        if self.error is not None:
            raise self.error
        await self.gate.wait()
        return await self.store.save(drafts)


async def test_an_equal_request_waits_for_the_first_and_409_after_a_second(tmp_path: Path) -> None:
    slow = Held(tmp_path)
    async with house(tmp_path, saver=slow) as h:
        slow.store = h.store
        first = asyncio.ensure_future(h.send(idempotency_key="k"))
        second = await asyncio.ensure_future(h.send(idempotency_key="k"))
        assert (second.status, second.json["type"]) == (409, "urn:posthouse:problem:idempotency-in-flight")
        third = asyncio.ensure_future(h.send(idempotency_key="k"))
        other = asyncio.ensure_future(h.send(MAIL | {"subject": "Other"}, idempotency_key="k"))
        await asyncio.sleep(0)
        slow.gate.set()
        assert (await third).headers == (await first).headers
        assert (await other).status == 422


async def test_a_store_that_is_away_or_silent_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.submission.accept.STORE_SECONDS", 0.05)
    for away in (Held(tmp_path, StoreAway("gone")), Held(tmp_path)):
        async with house(tmp_path, saver=away) as h:
            for headers in ({}, {"idempotency_key": "k"}):
                reply = await h.send(**headers)
                assert (reply.status, reply.json["type"]) == (503, "urn:posthouse:problem:unavailable")
                assert int(reply.headers["retry-after"]) > 0


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


async def _ask_all(h: House, bodies: list[bytes]) -> None:
    for raw in bodies:
        reply = await h.send(raw)
        assert reply.status in (202, 400)
        assert reply.status == 202 or reply.json["status"] == 400


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), ANY, max_size=8),
    junk=st.binary(max_size=60),
)
def test_nothing_that_is_posted_breaks_it(
    tmp_path_factory: pytest.TempPathFactory, body: Any, junk: bytes
) -> None:
    raw = _encode(MAIL | body)

    async def story() -> None:
        async with house(tmp_path_factory.mktemp("any")) as h:
            await _ask_all(h, [raw, _encode(body), junk, raw[: len(junk)]])

    asyncio.run(story())


def _encode(plain: Any) -> bytes:
    return json.dumps(plain).encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("headers", {f"From{n}": "\x00" for n in range(5_000)}),
        ("attachments", [{"filename": "", "content": ""}] * 5_000),
        ("tags", [""] * 5_000),
        ("to", [""] * 5_000),
    ],
)
async def test_a_list_that_is_too_long_is_named_once(tmp_path: Path, field: str, value: object) -> None:
    async with house(tmp_path, max_body=1_000_000) as h:
        reply = await h.send(MAIL | {field: value})
    assert (reply.status, reply.pointers) == (400, [f"/{field}"])


async def test_no_more_than_a_hundred_fields_are_named(tmp_path: Path) -> None:
    many = {"to": [""] * 50, "cc": [""] * 50, "bcc": [""] * 50}
    async with house(tmp_path) as h:
        reply = await h.send(MAIL | many)
    assert (reply.status, len(reply.pointers)) == (400, 100)
    assert "or more" in reply.json["detail"]
