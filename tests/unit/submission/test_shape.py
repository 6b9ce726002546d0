"""Every wrong value of a JSON is named, in words that repeat nothing of it, and the rest is kept."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.submission.problems import Finding, Problem
from posthouse.submission.request import SendRequest
from posthouse.submission.shape import read

DECODER = msgspec.json.Decoder(SendRequest)


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
        Finding("/subject", "this field is required"),
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
    _, findings = read(json.dumps({"to": [1] * 10_000}).encode(), DECODER)
    assert len(findings) == 100


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


@given(st.binary())
def test_no_bytes_break_it(raw: bytes) -> None:
    try:
        read(raw, DECODER)
    except Problem as problem:
        assert problem.answer().status == 400
