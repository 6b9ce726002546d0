"""Mail with a template over HTTP: accepted when the template is there, and shown with what it is made of."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from posthouse.mail.message import Mailbox
from posthouse.submission.compose import Rules
from posthouse.templates import TemplateFolder
from tests.contract.asgi import BEARER, House, house

MAIL = {"to": "Ann <ann@example.org>", "template": "welcome", "variables": {"town": "Ulm", "days": [1, 2.5]}}


def rules(folder: Path) -> Rules:
    place = folder / "templates" / "welcome"
    place.mkdir(parents=True)
    (place / "subject.txt").write_text("To {{ town }}")
    (place / "body.html").write_text("<p>{{ town }}</p>")
    return Rules(sender=Mailbox("post@post.example"), find=TemplateFolder(folder / "templates").find)


async def record(h: House, id: str) -> dict[str, Any]:
    return (await h.ask("GET", f"/emails/{id}")).json


async def test_it_is_accepted_and_its_record_shows_what_it_is_made_of(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules(tmp_path)) as h:
        id = await h.sent(MAIL)
        shown = await record(h, id)
        assert (shown["template"], shown["variables"]) == ("welcome", MAIL["variables"])
        assert (shown["subject"], shown["html"], shown["text"]) == (None, None, None)
        (item,) = (await h.ask("GET", "/email/logs")).json["items"]
        assert (item["subject"], item["body"], item["to"]) == (None, None, "ann@example.org")


async def test_after_its_first_attempt_it_shows_what_was_sent(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules(tmp_path)) as h:
        id = await h.sent(MAIL)
        (leased,) = await h.store.claim("worker", 1, 60, ids=[id])
        content = (await h.store.contents([id]))[id]
        rendered = msgspec.structs.replace(content, subject="To Ulm", html="<p>Ulm</p>")
        await h.store.keep([(id, leased.fence, rendered)])
        shown = await record(h, id)
        assert (shown["subject"], shown["html"], shown["template"]) == ("To Ulm", "<p>Ulm</p>", "welcome")


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"template": "nobody"}, ["/template"]),
        ({"template": "../welcome"}, ["/template"]),
        ({"template": 5}, ["/template"]),
        ({"body": "x"}, ["/template"]),
        ({"subject": ""}, ["/subject"]),
        ({"template": None, "subject": "s", "body": "b"}, ["/variables"]),
        ({"variables": [1]}, ["/variables"]),
        ({"variables": {"n": 1 << 63}}, ["/variables/n"]),
        ({"variables": {"t": "\x00"}, "template": "nobody"}, ["/template", "/variables/t"]),
    ],
)
async def test_every_wrong_field_is_named(
    tmp_path: Path, change: dict[str, Any], pointers: list[str]
) -> None:
    mail = {name: value for name, value in (MAIL | change).items() if value is not None}
    async with house(tmp_path, rules=rules(tmp_path)) as h:
        reply = await h.send(mail)
        assert reply.status == 400
        assert reply.pointers == pointers


async def test_a_number_that_no_store_could_keep_is_refused(tmp_path: Path) -> None:
    raw = b'{"to": "a@example.org", "template": "welcome", "variables": {"n": %s}}' % (b"9" * 400)
    async with house(tmp_path, rules=rules(tmp_path)) as h:
        reply = await h.ask("POST", "/email/send", raw, headers=BEARER | {"content-type": "application/json"})
        assert reply.status == 400
        assert reply.pointers in (["/variables/n"], [])
