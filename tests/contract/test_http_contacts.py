"""Contacts over HTTP: written many at a time, listed, fetched as a file, forgotten."""

from pathlib import Path
from typing import Any

import pytest

from posthouse.contact_file import read_contacts
from tests.contract.asgi import House, house

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
        lines = list(read_contacts(text.splitlines(keepends=True)))
        entries = [each.entry for each in lines if each.entry is not None]
        assert await h.store.write_contacts(entries, "replace") == ["unchanged", "unchanged"]
        assert (await h.ask("GET", f"{ALL}.csv?role=coach")).body.count(b"\r\n") == 2
