"""Every wrong value of a JSON is named, in words that repeat nothing of it, and the rest is kept."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.message import Mailbox
from posthouse.submission.compose import Rules, compose
from posthouse.submission.problems import Finding, Problem, pointer
from posthouse.submission.request import Moment, SendRequest
from posthouse.submission.shape import read

DECODER = msgspec.json.Decoder(SendRequest)
RULES = Rules(sender=Mailbox("posthouse@post.example"))


def test_what_fits_is_read_without_findings() -> None:
    request, findings = read(b'{"to": "a", "subject": "s", "cc": ["b"], "body": null}', DECODER)
    assert (request, findings) == (SendRequest(to="a", subject="s", cc=["b"]), [])


def test_wrong_values_are_named_in_our_words_and_the_rest_is_kept() -> None:
    mail: dict[str, Any] = {
        "to": ["a", 1, {"x": 2}],
        "body": "kept",
        "lane": "SECRET",
        "headers": {"X-A": 1, "X-B": "b"},
        "attachments": [{"filename": 1, "content": "YWI="}, "SECRET"],
        "scheduled_at": "SECRET",
        "text": ["SECRET"],
        "SECRET~/": 1,
    }
    request, findings = read(json.dumps(mail).encode(), DECODER)
    assert findings == [
        Finding("/SECRET~0~1", "this field is not known"),
        Finding("/to/1", "must be a string"),
        Finding("/to/2", "must be a string"),
        Finding("/text", "must be a string"),
        Finding("/headers/X-A", "must be a string"),
        Finding("/attachments/0/filename", "must be a string"),
        Finding("/attachments/1", "must be an object"),
        Finding("/scheduled_at", "must be an ISO 8601 time with a zone, such as 2026-01-31T12:00:00Z"),
        Finding("/lane", "must be one of transactional, bulk"),
    ]
    assert (request.to, request.body, request.headers) == (["a", "", ""], "kept", {"X-A": "", "X-B": "b"})
    assert request.attachments is not None and request.attachments[0].content == b"ab"


def test_findings_are_bounded() -> None:
    with pytest.raises(Problem) as caught:
        read(json.dumps({"to": [1] * 10_000}).encode(), DECODER)
    assert [finding.pointer for finding in caught.value.errors] == [f"/to/{n}" for n in range(100)]


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b'{"to" 1}', "The body is not valid JSON at byte 6."),
        (b'{"to": "\xff"}', "The body is not valid UTF-8."),
        (b"[" * 9999, "The body is nested too deeply."),
    ],
)
def test_what_is_no_json_is_a_problem(raw: bytes, detail: str) -> None:
    with pytest.raises(Problem) as caught:
        read(raw, DECODER)
    assert caught.value.detail == detail


class Odd(msgspec.Struct, frozen=True):
    count: int
    share: float
    on: bool
    at: Moment
    more: list[int] | None = None


def test_every_sort_of_value_has_its_words() -> None:
    read_odd = msgspec.json.Decoder(Odd)
    odd, findings = read(b'{"count": "1", "share": "x", "on": 1, "at": 1, "more": [1, "x"]}', read_odd)
    assert [(finding.pointer, finding.detail.partition(",")[0]) for finding in findings] == [
        ("/count", "must be a whole number"),
        ("/share", "must be a number"),
        ("/on", "must be true or false"),
        ("/at", "must be an ISO 8601 time with a zone"),
        ("/more/1", "must be a whole number"),
    ]
    assert (odd.count, odd.on, odd.more) == (0, False, [1, 0])


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(SendRequest.__struct_encode_fields__)


@given(st.dictionaries(NAMES | st.text(max_size=5), ANY, max_size=8))
def test_whatever_is_wrong_the_rules_beyond_types_can_be_asked(mail: dict[str, Any]) -> None:
    request, findings = read(msgspec.json.encode(mail), DECODER)
    _, more = compose(request, RULES, 1)
    named = {finding.pointer.split("/")[1] for finding in [*findings, *more]}
    unknown = set(mail) - set(SendRequest.__struct_encode_fields__)
    assert named >= {pointer(name)[1:] for name in unknown}
    needed = {"to"} if "template" in mail else {"to", "subject"}
    assert named >= needed - set(mail)


@given(st.binary())
def test_no_bytes_break_it(raw: bytes) -> None:
    try:
        read(raw, DECODER)
    except Problem as problem:
        assert problem.answer().status == 400
