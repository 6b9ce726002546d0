"""GET /openapi.json and /docs: they describe every route and nothing else, and what they show works.

That answers match the document is asked in every contract test (tests/contract/conformance.py)."""

import base64
import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from posthouse.submission.problems import KINDS, URN
from tests.contract.asgi import House, house


async def document(h: House) -> dict[str, Any]:
    reply = await h.ask("GET", "/openapi.json", headers={})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    return reply.json


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


async def test_the_document_is_valid_openapi_3_1(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        described = await document(h)
    assert described["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(described).validate()
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(names) == len(set(names))
    for _, path, operation in operations(described):
        assert operation["summary"] and operation["description"], path
        assert any(status.startswith("2") for status in operation["responses"]), path


async def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        described = await document(h)
        served = {route.path for route in h.app._table.routes}  # type: ignore[attr-defined]
        assert set(described["paths"]) == served
        for path, methods in described["paths"].items():
            allowed = (await h.ask("OPTIONS", path.replace("{id}", "x"), headers={})).headers["allow"]
            assert set(allowed.split(", ")) - {"HEAD", "OPTIONS"} == {method.upper() for method in methods}


async def test_every_kind_of_problem_is_described(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        described = await document(h)
    told = set(re.findall(URN + r"([a-z-]+)", str(described["paths"])))
    assert told == set(KINDS) - {"method-not-allowed"}  # which is what no operation is there for
    listed = described["components"]["schemas"]["ProblemDocument"]["properties"]["type"]["enum"]
    assert listed == [URN + kind for kind in KINDS]


async def test_every_example_fits_its_schema(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        described = await document(h)
    tried = 0
    for _, path, operation in operations(described):
        bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
        for content in [each for body in bodies for each in body.get("content", {}).values()]:
            examples = [each["value"] for each in content.get("examples", {}).values()]
            for example in [*examples, *([content["example"]] if "example" in content else [])]:
                schema = {"components": described["components"], **content["schema"]}
                wrong = Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(example)
                assert [error.message for error in wrong] == [], path
                tried += 1
    assert tried > 5


async def test_every_example_of_a_mail_is_accepted(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        described = await document(h)
        content = described["paths"]["/email/send"]["post"]["requestBody"]["content"]["application/json"]
        for name, example in content["examples"].items():
            assert (await h.send(example["value"])).status == 202, name


@pytest.mark.parametrize(
    ("mail", "fits"),
    [
        ({"body": "b"}, True),
        ({"text": "b", "html": None}, True),
        ({"body": "b", "html": "b"}, False),
        ({"body": None}, False),
        ({}, False),
        ({"body": "b", "nope": 1}, False),
        ({"body": "b", "subject": "a\nb"}, False),
        ({"body": "b", "to": ["a@b.org"] * 51}, False),
        ({"body": "b", "tags": ["x"] * 76}, False),
        ({"body": "b", "scheduled_at": 1}, False),
    ],
)
async def test_the_schema_of_a_mail_and_the_code_agree(
    tmp_path: Path, mail: dict[str, Any], fits: bool
) -> None:
    mail = {"to": "ann@example.org", "subject": "s"} | mail
    async with house(tmp_path) as h:
        described = await document(h)
        content = described["paths"]["/email/send"]["post"]["requestBody"]["content"]["application/json"]
        schema = {"components": described["components"], **content["schema"]}
        assert Draft202012Validator(schema).is_valid(mail) == fits
        assert (await h.send(mail)).status == (202 if fits else 400)


class Page(HTMLParser):
    """What a browser would see: names, links, and whatever it would fetch or run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given[name] or "" for name in ("href", "src") if name in given]


async def test_the_page_shows_every_operation_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        described = await document(h)
        reply = await h.ask("GET", "/docs", headers={})
    html = reply.body.decode()
    page = Page(html)
    assert {operation["operationId"] for _, _, operation in operations(described)} <= set(page.ids)
    assert set(described["components"]["schemas"]) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {link for link in page.links if not link.startswith(("#", "data:"))} == {"/openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert not page.tags & {"script", "img", "iframe", "object", "form"}
    assert not [name for name in page.attributes if name == "style" or name.startswith("on")]


async def test_the_policy_of_the_page_allows_its_style_and_nothing_else(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("GET", "/docs", headers={})
    style = re.search(r"<style>(.*?)</style>", reply.body.decode(), re.S)
    assert style is not None
    digest = base64.b64encode(sha256(style[1].encode()).digest()).decode()
    policy = reply.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "unsafe" not in policy and "http" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
