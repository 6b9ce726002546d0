"""Contacts over HTTP: written many at a time, listed, fetched as a file, forgotten."""

from pathlib import Path
from typing import Any

import pytest

from posthouse.contact_file import ContactFile
from tests.contract.asgi import BEARER, House, Reply, house

ALL = "/api/emails/contacts"
ANN = {"email": "Ann@Example.org", "name": "Ann", "roles": ["rider"], "attributes": {"horse": "Arion"}}
BEN = {"email": "ben@example.org", "roles": ["rider", "coach"], "consentHow": "at the gate"}


async def written(h: House, *contacts: dict[str, Any], **more: Any) -> dict[str, Any]:
    reply = await h.ask("POST", ALL, {"contacts": list(contacts), **more})
    assert reply.status == 200, reply.body
    return reply.json


async def test_many_are_written_and_the_wrong_ones_named(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        told = await written(h, ANN, {"email": "nobody", "roles": ["a;b"]}, BEN)
        assert (told["created"], told["updated"], told["unchanged"], told["wrong"]) == (2, 0, 0, 1)
        assert [each["result"] for each in told["items"]] == ["created", "wrong", "created"]
        assert [each["pointer"] for each in told["items"][1]["errors"]] == [
            "/contacts/1/email",
            "/contacts/1/roles",
        ]
        told = await written(h, ANN, BEN | {"roles": ["judge"]}, how="add-roles")
        assert (told["unchanged"], told["updated"]) == (1, 1)
        ben = (await h.ask("GET", f"{ALL}/BEN@example.org")).json
        assert (ben["roles"], ben["consentHow"]) == (["coach", "judge", "rider"], "at the gate")


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        told = await written(h, ANN, dryRun=True)
        assert (told["created"], told["dryRun"]) == (1, True)
        assert (await h.ask("GET", ALL)).json["items"] == []


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/contacts"]),
        ({"contacts": []}, ["/contacts"]),
        ({"contacts": [{"email": "a@b.example"}] * 1001}, ["/contacts"]),
        (
            {"contacts": [{"name": "Ann", "colour": 1}], "how": "x"},
            ["/contacts/0/colour", "/contacts/0/email", "/how"],
        ),
    ],
)
async def test_what_is_no_such_request(tmp_path: Path, body: dict[str, Any], pointers: list[str]) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("POST", ALL, body)
        assert (reply.status, sorted(reply.pointers)) == (400, pointers)


async def test_one_is_put_shown_and_forgotten(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        path = f"{ALL}/ann%40example.org"
        fields = {name: value for name, value in ANN.items() if name != "email"}
        assert (await h.ask("PUT", path, fields)).status == 201
        reply = await h.ask("PUT", path, {"name": "Ann Lee"})
        assert (reply.status, reply.json["name"], reply.json["roles"]) == (200, "Ann Lee", [])
        assert (await h.ask("PUT", f"{ALL}/nobody", {})).pointers == ["/email"]
        assert (await h.ask("PUT", path, {"attributes": {"email": "x"}})).pointers == ["/attributes"]
        assert (await h.ask("DELETE", path)).status == 204
        assert [(await h.ask(method, path)).status for method in ("GET", "DELETE")] == [404, 404]
        assert (await h.ask("GET", f"{ALL}/nobody")).status == 404


async def test_lists_by_role_go_on_behind_a_cursor(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await written(h, ANN, BEN, {"email": "cat@example.org", "roles": ["judge"]})
        page = (await h.ask("GET", f"{ALL}?role=rider&limit=1")).json
        assert ([each["email"] for each in page["items"]], page["pagination"]["nextCursor"]) == (
            ["Ann@example.org"],
            "Ann@example.org",
        )
        page = (await h.ask("GET", f"{ALL}?role=rider&limit=1&cursor=Ann@example.org")).json
        assert ([each["email"] for each in page["items"]], page["pagination"]["nextCursor"]) == (
            ["ben@example.org"],
            None,
        )
        assert len((await h.ask("GET", f"{ALL}?role=judge,coach")).json["items"]) == 2
        roles = (await h.ask("GET", f"{ALL}/roles")).json["items"]
        assert [(each["role"], each["count"]) for each in roles] == [("coach", 1), ("judge", 1), ("rider", 2)]
        page = (await h.ask("GET", f"{ALL}/roles?limit=1&cursor=coach")).json
        assert ([each["role"] for each in page["items"]], page["pagination"]["nextCursor"]) == (
            ["judge"],
            "judge",
        )


async def test_the_file_can_be_read_again(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await written(h, ANN | {"name": "=cmd()", "attributes": {"n": 3, "tags": ["a"]}}, BEN)
        reply = await h.ask("GET", f"{ALL}.csv")
        text = reply.body.decode()
        assert "'=cmd()" in text
        lines = list(ContactFile().take(text, last=True))
        entries = [each.entry for each in lines if each.entry is not None]
        assert await h.store.write_contacts(entries, "replace") == ["unchanged", "unchanged"]
        assert (await h.ask("GET", f"{ALL}.csv?role=coach")).body.count(b"\r\n") == 2


CSV = BEARER | {"content-type": "text/csv; charset=utf-8"}


async def imported(h: House, *pieces: bytes, query: str = "") -> Reply:
    return await h.ask("POST", f"{ALL}/import{query}", list(pieces), headers=CSV)


async def test_a_file_is_taken_as_it_comes(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        people = "".join(f"user{n}@example.org,Jos\u00e9 {n},rider;coach,{n}\r\n" for n in range(1_203))
        data = f"\ufeffEmail,name,roles,horse\r\nnobody,,a*;*,\r\n{people}".encode()
        reply = await imported(h, *(data[n : n + 777] for n in range(0, len(data), 777)))
        assert (reply.status, reply.json["created"], reply.json["wrong"]) == (200, 1_203, 1)
        assert [(each["line"], each["column"]) for each in reply.json["errors"]] == [
            (2, "email"),
            (2, "roles"),
        ]
        assert "nobody" not in reply.body.decode()
        last = (await h.ask("GET", f"{ALL}/user1202@example.org")).json
        assert (last["name"], last["attributes"]) == ("Jos\u00e9 1202", {"horse": "1202"})
        assert (await imported(h, data)).json["unchanged"] == 1_203


async def test_what_was_fetched_is_taken_again(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await written(h, ANN | {"name": "'=cmd()", "attributes": {"n": 3, "tags": ["a"]}}, BEN)
        file = (await h.ask("GET", f"{ALL}.csv")).body
        told = (await imported(h, file, query="?how=replace")).json
        assert (told["unchanged"], told["created"], told["updated"], told["wrong"]) == (2, 0, 0, 0)


async def test_how_a_file_is_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await written(h, BEN)
        file = b"email,roles\nben@example.org,judge\n"
        told = (await imported(h, file, query="?how=add-roles&dryRun=true")).json
        assert (told["updated"], told["dryRun"]) == (1, True)
        assert (await h.ask("GET", f"{ALL}/ben@example.org")).json["roles"] == ["coach", "rider"]
        await imported(h, file, query="?how=add-roles")
        assert (await h.ask("GET", f"{ALL}/ben@example.org")).json["roles"] == ["coach", "judge", "rider"]


async def test_only_the_first_wrong_lines_are_told(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        told = (await imported(h, b"email\n" + b"nobody\n" * 250)).json
        assert (told["wrong"], len(told["errors"]), told["errors"][-1]["line"]) == (250, 100, 101)


@pytest.mark.parametrize(
    ("body", "query", "pointers"),
    [
        (b"", "", [""]),
        (b"name\nAnn\n", "", [""]),
        (b"email\na@b.example\n", "?how=x&dryRun=perhaps", ["/how", "/dryRun"]),
    ],
)
async def test_what_is_no_such_file(tmp_path: Path, body: bytes, query: str, pointers: list[str]) -> None:
    async with house(tmp_path) as h:
        reply = await imported(h, body, query=query)
        assert (reply.status, reply.pointers) == (400, pointers)
        assert (await h.ask("GET", ALL)).json["items"] == []


async def test_a_file_that_is_no_csv_or_too_large(tmp_path: Path) -> None:
    async with house(tmp_path, max_body=1_000) as h:
        assert (await h.ask("POST", f"{ALL}/import", {"email": "a@b.example"})).status == 415
        assert (await imported(h, b"email\n", b"a@b.example\n" * 100)).status == 413


@pytest.mark.parametrize("query", ["cursor=%00", "cursor=a%0Ab", "role=a%00b", "role=a;b"])
async def test_a_place_or_a_role_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("GET", f"{ALL}?{query}")
        assert (reply.status, reply.pointers) == (400, [f"/{query.partition('=')[0]}"])
