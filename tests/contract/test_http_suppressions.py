"""The suppression list over HTTP: who is on it enters suppressed; what is added, listed, taken off, as a file and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.message import Lane
from posthouse.mail.suppression import Reach, Suppression
from posthouse.submission.auth import make_key
from posthouse.suppressed import SuppressionList
from tests.contract.asgi import BEARER, MAIL, House, Reply, house

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


ALL, FILE, TRAIL = "/api/emails/suppressions", "/api/emails/suppressions.csv", "/api/emails/trail"


async def put_on(h: House, body: Any) -> Any:
    reply = await h.ask("POST", ALL, body)
    assert reply.status == 200, reply.body
    return reply.json


async def listed(h: House, query: str = "") -> list[dict[str, Any]]:
    reply = await h.ask("GET", ALL + query)
    assert reply.status == 200, reply.body
    return reply.json["items"]


async def upload(h: House, text: str | bytes | list[bytes], query: str = "", kind: str = "text/csv") -> Reply:
    body = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return await h.ask("POST", FILE + query, body, headers=BEARER | {"content-type": kind})


async def test_one_is_put_on_the_list_and_shown(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        until = "2036-01-31T12:00:00Z"
        body = {"email": "Ann@EXAMPLE.org", "lane": "bulk", "note": "rang", "expiresAt": until}
        assert await put_on(h, body) == {"added": 1, "unchanged": 0}
        assert await put_on(h, body) == {"added": 0, "unchanged": 1}
        (entry,) = await listed(h)
        assert entry.pop("createdAt") > "2026"
        assert entry == {
            "email": "Ann@example.org",
            "lane": "bulk",
            "reason": "manual",
            "note": "rang",
            "expiresAt": until.replace("Z", ".000000Z"),
            "createdBy": "POSTHOUSE_API_KEY",
        }
        record = await h.ask("GET", f"/emails/{await h.sent(MAIL | {'lane': 'bulk'})}")
        assert record.json["error"] == "on the suppression list: manual"


async def test_many_are_listed_by_cursor_and_filtered(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        many = [{"email": f"{n}@example.org", "reason": "bounced" if n % 2 else "manual"} for n in range(5)]
        assert await put_on(h, {"suppressions": many}) == {"added": 5, "unchanged": 0}
        first = (await h.ask("GET", f"{ALL}?limit=3")).json
        rest = (await h.ask("GET", f"{ALL}?limit=3&cursor={first['pagination']['nextCursor']}")).json
        assert rest["pagination"] == {"limit": 3, "nextCursor": None}
        assert {each["email"][0] for each in first["items"] + rest["items"]} == set("01234")
        assert len(first["items"]) == 3
        assert [each["email"][0] for each in await listed(h, "?reason=bounced")] in (["1", "3"], ["3", "1"])
        assert [each["email"][0] for each in await listed(h, "?email=4%40EXAMPLE.org")] == ["4"]
        assert await listed(h, "?email=4%40example.org&reason=bounced") == []


WRONG: list[tuple[Any, set[str]]] = [
    ({}, {"/email"}),
    ({"email": "a@b.example", "suppressions": [{"email": "a@b.example"}]}, {"/suppressions"}),
    ({"suppressions": []}, {"/suppressions"}),
    ({"suppressions": [{"email": "a@b.example"}] * 1001}, {"/suppressions"}),
    (
        {"email": "nobody", "note": "a\nb", "expiresAt": "2001-01-01T00:00:00Z"},
        {"/email", "/note", "/expiresAt"},
    ),
    (
        {"suppressions": [{"email": "a@b.example"}, {"email": "nobody", "lane": "slow", "why": 1}]},
        {"/suppressions/1/email", "/suppressions/1/lane", "/suppressions/1/why"},
    ),
    ({"email": "a@b.example", "reason": "spite", "note": "x" * 501}, {"/reason", "/note"}),
]


@pytest.mark.parametrize(("body", "pointers"), WRONG)
async def test_every_wrong_field_is_named_and_nothing_is_added(
    tmp_path: Path, body: Any, pointers: set[str]
) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("POST", ALL, body)
        assert (reply.status, set(reply.pointers)) == (400, pointers), reply.body
        assert await listed(h) == []


@pytest.mark.parametrize(
    ("query", "pointer"), [("cursor=x", "/cursor"), ("email=nobody", "/email"), ("reason=spite", "/reason")]
)
async def test_a_wrong_filter_is_named(tmp_path: Path, query: str, pointer: str) -> None:
    async with house(tmp_path) as h:
        assert (await h.ask("GET", f"{ALL}?{query}")).pointers == [pointer]


async def test_somebody_is_taken_off_for_a_lane_or_for_all(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await put_on(h, {"suppressions": [{"email": ANN}, {"email": ANN, "lane": "bulk"}]})
        path = f"{ALL}/ANN%40example.org"
        assert (await h.ask("DELETE", f"{path}?lane=transactional")).status == 404
        assert (await h.ask("DELETE", f"{path}?lane=slow")).pointers == ["/lane"]
        assert (await h.ask("DELETE", f"{path}?lane=bulk")).status == 204
        assert [each["lane"] for each in await listed(h)] == ["both"]
        assert (await h.ask("DELETE", path)).status == 204
        assert [(await h.ask("DELETE", each)).status for each in (path, f"{ALL}/nobody")] == [404, 404]
        assert (await h.ask("GET", f"/emails/{await h.sent()}")).json["state"] == "pending"


async def test_what_was_done_is_in_the_trail_with_who_did_it(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        made, plain = make_key("shop", ["bulk"])
        await h.store.add_api_key(made)
        await h.keys.refresh()
        headers = {"authorization": f"Bearer {plain}"}
        await h.ask("POST", ALL, {"email": ANN, "note": "rang"}, headers=headers)
        await h.ask("DELETE", f"{ALL}/{ANN}")
        await put_on(h, {"email": BOB})
        acts = (await h.ask("GET", f"{TRAIL}?about=suppression:{ANN}", headers=headers)).json["items"]
        assert [(each["act"], each["by"], each["detail"].get("note")) for each in acts] == [
            ("unsuppressed", "POSTHOUSE_API_KEY", None),
            ("suppressed", f"shop ({made.id})", "rang"),
        ]
        first = (await h.ask("GET", f"{TRAIL}?limit=2")).json
        assert [each["about"] for each in first["items"]] == [f"suppression:{BOB}", f"suppression:{ANN}"]
        rest = (await h.ask("GET", f"{TRAIL}?cursor={first['pagination']['nextCursor']}")).json
        assert [each["act"] for each in rest["items"]] == ["suppressed"]
        assert (await h.ask("GET", f"{TRAIL}?about=%00")).pointers == ["/about"]
        for scope in ("send", "logs"):
            other, word = make_key("other", [scope])
            await h.store.add_api_key(other)
            await h.keys.refresh()
            for method, path in (("GET", TRAIL), ("GET", ALL), ("DELETE", f"{ALL}/{ANN}")):
                reply = await h.ask(method, path, headers={"authorization": f"Bearer {word}"})
                assert reply.status == 403


TABLE = """\ufeffEmail,Reason,lane,Expires_At,note,campaign
ann@example.org,unsubscribed,bulk,,,spring
BOB@Example.org,550 5.1.1 no such user,,2036-01-31T12:00:00Z,,
nobody,,,,,
cat@example.org,,slow,yesterday,,

"dan@example.org",,,,"he said ""no"",
and meant it",
eve@example.org,,,2001-01-01,,
"""


async def test_a_file_is_read_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await upload(h, TABLE.replace("\nand meant it", " and meant it"), "?lane=bulk")
        assert (reply.status, reply.json["added"], reply.json["unchanged"], reply.json["wrong"]) == (
            200,
            3,
            0,
            3,
        )
        assert reply.json["errors"] == [
            {"line": 4, "column": "email", "error": "an address needs an @"},
            {"line": 5, "column": "lane", "error": "must be one of both, transactional, bulk"},
            {
                "line": 5,
                "column": "expires_at",
                "error": "must be an ISO 8601 time, such as 2026-01-31T12:00:00Z",
            },
            {"line": 8, "column": "expires_at", "error": "must be later than now"},
        ]
        entries = {each["email"]: each for each in await listed(h)}
        assert {name: (each["lane"], each["reason"], each["note"]) for name, each in entries.items()} == {
            "ann@example.org": ("bulk", "unsubscribed", ""),
            "BOB@example.org": ("bulk", "imported", "550 5.1.1 no such user"),
            "dan@example.org": ("bulk", "imported", 'he said "no", and meant it'),
        }
        assert (await upload(h, TABLE, "?lane=bulk")).json["unchanged"] == 2


async def test_a_note_of_two_lines_is_no_note(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        errors = (await upload(h, TABLE)).json["errors"]
        assert {"line": 7, "column": "note"}.items() <= errors[3].items()


async def test_what_is_written_is_read_again_and_harms_no_spreadsheet(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        odd = "+1@example.org"
        notes = {odd: '=HYPERLINK("http://evil.example")', ANN: "-1", BOB: 'plain, with "quotes"'}
        await put_on(
            h,
            {
                "suppressions": [
                    {"email": email, "note": note, "expiresAt": "2036-01-31T12:00:00Z"}
                    for email, note in notes.items()
                ]
            },
        )
        reply = await h.ask("GET", FILE)
        assert reply.headers["content-disposition"] == 'attachment; filename="suppressions.csv"'
        lines = reply.body.decode().split("\r\n")
        assert lines[0] == "email,lane,reason,note,expires_at,created_at,created_by"
        assert not any(cell.startswith(("=", "+", "-", '"=')) for line in lines for cell in line.split(","))
        before = [{**each, "createdAt": ""} for each in await listed(h)]
        for email in notes:
            assert (await h.ask("DELETE", f"{ALL}/{quote(email)}")).status == 204
        assert (await upload(h, reply.body)).json == {"added": 3, "unchanged": 0, "wrong": 0, "errors": []}
        after = [{**each, "createdAt": ""} for each in await listed(h)]
        assert sorted(after, key=str) == sorted(before, key=str)
        assert b"plain" not in (await h.ask("GET", f"{FILE}?reason=bounced")).body
        assert (await h.ask("GET", f"{FILE}?email={ANN}")).body.count(b"\r\n") == 2


async def test_a_file_may_come_in_any_pieces_and_be_long(tmp_path: Path) -> None:
    rows = [f'"{n}@example.org",bulk,"ü ""{n}"", or so"' for n in range(1_201)]
    raw = ("email,lane,note\n" + "\n".join(rows)).encode()
    async with house(tmp_path) as h:
        pieces = [raw[at : at + 997] for at in range(0, len(raw), 997)]
        assert (await upload(h, pieces)).json == {"added": 1_201, "unchanged": 0, "wrong": 0, "errors": []}
        one = (await upload(h, [raw[:60], *(raw[at : at + 1] for at in range(60, 200)), raw[200:]])).json
        assert one["unchanged"] == 1_201
        assert [each["note"] for each in await listed(h, "?email=7%40example.org")] == ['ü "7", or so']


@pytest.mark.parametrize(
    ("text", "status", "wrong"),
    [
        ("", 400, 0),
        ("name\nAnn\n", 400, 0),
        ("email,email\n", 400, 0),
        ("email\n", 200, 0),
        ("email\nann@example.org", 200, 0),
        ("email\nann@example.org,x\n\udcffbob@example.org\n", 200, 2),
        ('email\n"ann@example.org\nbob@example.org\n', 200, 1),
        ('email\n"' + "x" * 90_000 + "\n" * 9 + "ann@example.org\n", 200, 1),
    ],
)
async def test_what_is_no_such_file(tmp_path: Path, text: str, status: int, wrong: int) -> None:
    async with house(tmp_path) as h:
        reply = await upload(h, text)
        assert reply.status == status, reply.body
        assert status == 400 or reply.json["wrong"] == wrong


async def test_a_file_that_is_no_csv_or_too_large_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path, max_body=1000) as h:
        assert (await upload(h, "email\n", kind="application/json")).status == 415
        assert (await upload(h, "email\n" + "a@b.example\n" * 99)).status == 413
        assert (await upload(h, [b"email\n", b"a@b.example\n" * 99])).status == 413
