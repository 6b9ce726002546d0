"""Templates of the catalog over HTTP: pushed, listed, tried out, archived; and mail that names one."""

from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.campaign import Campaign
from tests.contract.asgi import House, house

ALL = "/api/emails/templates"
WELCOME = {
    "subject": "Welcome, {{ userName }}",
    "html": "<style>b{color:red}</style><p>Your horse is <b>{{ horse }}</b> of {{ town }}.</p>",
    "defaults": {"town": "Ulm"},
}
GIVEN = {"to": "Ann <ann@example.org>", "variables": {"horse": "Arion"}}


async def pushed(h: House, id: str = "welcome", **change: Any) -> dict[str, Any]:
    reply = await h.ask("PUT", f"{ALL}/{id}", WELCOME | change)
    assert reply.status in (200, 201), reply.body
    return reply.json


async def test_a_template_is_pushed_and_shown(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        first = await pushed(h)
        assert (first["version"], first["created"], first["createdBy"]) == (1, True, "POSTHOUSE_API_KEY")
        assert (first["variables"], first["required"]) == (["horse", "town"], ["horse"])
        assert (await pushed(h))["created"] is False
        assert (await pushed(h, text="Your horse: {{ horse }}"))["version"] == 2
        newest, old = [(await h.ask("GET", f"{ALL}/welcome{q}")).json for q in ("", "?version=1")]
        assert (newest["version"], newest["text"]) == (2, "Your horse: {{ horse }}")
        assert (old["version"], old["text"], old["html"]) == (1, None, WELCOME["html"])
        versions = (await h.ask("GET", f"{ALL}/welcome/versions")).json["items"]
        assert [each["version"] for each in versions] == [2, 1]


async def test_lists_go_on_behind_a_cursor(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for id in ("c", "a", "b"):
            await pushed(h, id)
        page = (await h.ask("GET", f"{ALL}?limit=2")).json
        assert ([each["id"] for each in page["items"]], page["pagination"]) == (
            ["a", "b"],
            {"limit": 2, "nextCursor": "b"},
        )
        page = (await h.ask("GET", f"{ALL}?limit=2&cursor=b")).json
        assert ([each["id"] for each in page["items"]], page["pagination"]["nextCursor"]) == (["c"], None)
        await pushed(h, "a", subject="Other")
        page = (await h.ask("GET", f"{ALL}/a/versions?limit=1")).json
        assert page["pagination"]["nextCursor"] == "2"
        assert [
            each["version"] for each in (await h.ask("GET", f"{ALL}/a/versions?cursor=2")).json["items"]
        ] == [1]


@pytest.mark.parametrize(
    ("change", "pointers", "word"),
    [
        ({"html": None, "defaults": None}, ["/html"], "one of html, mjml, text"),
        ({"subject": " ", "defaults": {"a": "\0"}, "color": 1}, ["/color", "/subject", "/defaults/a"], ""),
        ({"html": "<p>{{ horse"}, [""], "body.html, line 1: it is not valid Jinja2"),
        ({"html": None, "text": "\n{% if %}"}, [""], "body.txt, line 2"),
        ({"html": "x" * 1_000_001}, ["/html"], "1000000 bytes"),
        ({"text": "\0"}, ["/text"], "control"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, change: dict[str, Any], pointers: list[str], word: str
) -> None:
    async with house(tmp_path, max_body=3_000_000) as h:
        asked = {name: value for name, value in (WELCOME | change).items() if value is not None}
        reply = await h.ask("PUT", f"{ALL}/welcome", asked)
        assert (reply.status, reply.pointers) == (400, pointers), reply.body
        assert any(word in error["detail"] for error in reply.json["errors"])
        assert (await h.ask("GET", ALL)).json["items"] == []


async def test_a_preview_is_made_as_mail_is(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await pushed(h)
        shown = (await h.ask("POST", f"{ALL}/welcome/preview", GIVEN)).json
        assert (shown["version"], shown["subject"], shown["fault"]) == (1, "Welcome, Ann", None)
        assert '<b style="color: red">Arion</b> of Ulm' in shown["html"]
        assert "Arion of Ulm" in shown["text"]
        asked = {"variables": {"colour": "red"}, "version": 1}
        shown = (await h.ask("POST", f"{ALL}/welcome/preview", asked)).json
        assert (shown["html"], shown["missing"], shown["unknown"]) == (None, ["horse"], ["colour"])
        assert "horse" in shown["fault"] and shown["usable"]
        assert (await h.ask("POST", f"{ALL}/welcome/preview", {"version": 2})).status == 404
        reply = await h.ask("POST", f"{ALL}/welcome/preview", {"to": "x", "variables": {"a": "\0"}})
        assert reply.pointers == ["/to", "/variables/a"]
        assert (await h.ask("GET", "/email/logs")).json["items"] == [], "a preview sends nothing"


async def test_a_template_is_tried_out_before_it_is_pushed(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        shown = (await h.ask("POST", f"{ALL}/new/validate", {"template": WELCOME, **GIVEN})).json
        assert (shown["version"], shown["usable"], shown["subject"]) == (None, True, "Welcome, Ann")
        wrong = WELCOME | {"mjml": "<mjml", "html": ""}
        shown = (await h.ask("POST", f"{ALL}/new/validate", {"template": wrong})).json
        assert (shown["usable"], shown["subject"]) == (False, None)
        assert "body.mjml" in shown["fault"]
        reply = await h.ask("POST", f"{ALL}/new/validate", {"template": {"subject": "x"}})
        assert reply.pointers == ["/template/html"]
        assert (await h.ask("GET", ALL)).json["items"] == []


async def test_one_that_computes_for_ever_holds_up_nobody(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await pushed(
            h,
            "endless",
            text="{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        )
        shown = (await h.ask("POST", f"{ALL}/endless/preview", GIVEN)).json
        assert "takes more than" in shown["fault"]


async def test_a_test_is_an_ordinary_mail(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await pushed(h)
        reply = await h.ask("POST", f"{ALL}/welcome/test", GIVEN)
        assert (reply.status, reply.body) == (202, b"")
        record = (await h.ask("GET", reply.headers["location"])).json
        assert (record["to"], record["template"], record["lane"]) == (
            ["Ann <ann@example.org>"],
            "welcome",
            "transactional",
        )
        reply = await h.ask("POST", f"{ALL}/welcome/test", {"to": "ann@example.org"})
        assert reply.pointers == ["/variables/horse"]
        await pushed(h, "bare", subject=None)
        assert (await h.ask("POST", f"{ALL}/bare/test", GIVEN)).status == 400


async def test_mail_names_a_template_and_keeps_its_version(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await pushed(h)
        mail = {"to": "ann@example.org", "template": "welcome", "variables": {"horse": "Arion"}}
        id = await h.sent(mail)
        await pushed(h, subject="Changed")
        content = (await h.store.contents([id]))[id]
        assert (content.template, content.template_version, content.subject) == ("welcome", 1, "")
        assert (await h.send(mail | {"variables": {}})).pointers == ["/variables/horse"]
        assert (await h.send(mail | {"template": "nobody"})).pointers == ["/template"]
        assert (await h.send(mail | {"template": 5})).pointers == ["/template"]
        assert (await h.send(mail | {"body": "x"})).pointers == ["/template"]


async def test_an_archived_one_takes_no_new_mail_until_it_is_pushed_again(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await pushed(h)
        assert (await h.ask("DELETE", f"{ALL}/welcome")).status == 204
        assert (await h.ask("DELETE", f"{ALL}/welcome")).status == 404
        assert (await h.ask("GET", f"{ALL}/welcome")).status == 404
        assert (await h.ask("GET", f"{ALL}/welcome?version=1")).status == 200
        mail = {"to": "ann@example.org", "template": "welcome", "variables": {"horse": "Arion"}}
        assert (await h.send(mail)).pointers == ["/template"]
        await pushed(h)
        assert (await h.send(mail)).status == 202
        acts = await h.store.acts(9, about="template:welcome")
        assert [act.act for act in acts] == ["restored", "archived", "pushed"]


async def test_who_used_it(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await pushed(h)
        for id in ("job-1", "job-2"):
            await h.store.add_campaign(Campaign(id=id, template="welcome", version=1), [], "Ann")
        page = (await h.ask("GET", f"{ALL}/welcome/usage?limit=1")).json
        assert [(each["jobId"], each["templateVersion"]) for each in page["items"]] == [("job-2", 1)]
        assert [(each["status"], each["totalCount"], each["sentCount"]) for each in page["items"]] == [
            ("QUEUED", 0, 0)
        ]
        rest = (await h.ask("GET", f"{ALL}/welcome/usage?cursor={page['pagination']['nextCursor']}")).json
        assert [each["jobId"] for each in rest["items"]] == ["job-1"]
        assert (await h.ask("GET", f"{ALL}/welcome/usage?cursor=nobody")).status == 400


@pytest.mark.parametrize("path", ["nobody", "nobody/versions", "a%2Fb", "..%2Fa", "nobody?version=2"])
async def test_what_is_not_there(tmp_path: Path, path: str) -> None:
    async with house(tmp_path) as h:
        assert (await h.ask("GET", f"{ALL}/{path}")).status == 404
