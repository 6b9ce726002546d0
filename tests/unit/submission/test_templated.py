"""The template of a request: what is wrong with it, and with what it is given."""

from typing import Any

import pytest

from posthouse.mail.template import BadTemplate, Source
from posthouse.submission.request import SendRequest
from posthouse.submission.templated import DEEPEST, template_faults


def find(id: str) -> Source | None:
    if id == "broken":
        raise BadTemplate("body.txt: it is not UTF-8")
    return {"welcome": Source("Hi", text="x"), "bare": Source(text="x")}.get(id)


def faults(**request: Any) -> list[tuple[str, str]]:
    return list(template_faults(SendRequest(to="ann@x.example", **request), find))


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else "x"


def test_without_a_folder_there_are_no_templates() -> None:
    request = SendRequest(to="a@x.example", template="welcome", variables={})
    assert [where for where, _ in template_faults(request, None)] == ["/template", "/variables"]


@pytest.mark.parametrize(
    "variables",
    [None, {}, {"a": {"b": [1, 2.5, True, None, "ü\r\n\t"]}}, {"n": 2**63 - 1, "deep": nested(DEEPEST - 1)}],
)
def test_what_can_be_used(variables: Any) -> None:
    assert faults(template="welcome", variables=variables) == []
    assert faults(template="bare", subject="S", variables=variables) == []


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"template": "nobody"}, ("/template", "there is no template of this name")),
        ({"template": "broken"}, ("/template", "body.txt: it is not UTF-8")),
        ({"template": "bare"}, ("/subject", "this field is required: the template has no subject")),
        (
            {"template": "welcome", "html": "x"},
            ("/template", "a template cannot go together with body, html or text"),
        ),
        (
            {"variables": {"a": 1}, "subject": "s", "body": "x"},
            ("/variables", "variables go with a template"),
        ),
    ],
)
def test_what_cannot(request_: dict[str, Any], expected: tuple[str, str]) -> None:
    assert faults(**request_) == [expected]


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("a\x00", "control characters other than TAB, CR and LF are not allowed"),
        ([{"x": ["\x1b"]}], "control characters other than TAB, CR and LF are not allowed"),
        ({"k\x00": 1}, "control characters other than TAB, CR and LF are not allowed"),
        ("\ud800", "it holds half of a surrogate pair: it is not valid Unicode"),
        ([2**63], "a whole number must fit into 64 bits"),
        (nested(DEEPEST), f"it is nested more than {DEEPEST} levels deep"),
        (nested(500), f"it is nested more than {DEEPEST} levels deep"),
    ],
)
def test_what_no_store_could_keep(value: Any, detail: str) -> None:
    assert faults(template="welcome", variables={"good": 1, "a/b": value}) == [("/variables/a~1b", detail)]
