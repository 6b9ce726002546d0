"""The short way past mail.mime.check is taken only where that finds nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.message import Mailbox
from posthouse.submission.compose import Rules, compose, is_plain
from posthouse.submission.request import SendRequest

RULES = Rules(sender=Mailbox("posthouse@post.example"))
DECODER = msgspec.json.Decoder(SendRequest)
TEXT = st.text(max_size=12) | st.sampled_from(
    ["a\tb", "a\nb", "\x00", "\x7f", "\x85", "\u2028", "\b", "\f", "x" * 999]
)
MAILS = st.fixed_dictionaries(
    {
        "to": st.sampled_from(["ann@example.org", ["Ann <ann@example.org>"], "A\x7f <a@b.org>"]),
        "subject": TEXT,
    },
    optional={
        "body": TEXT,
        "html": TEXT,
        "headers": st.dictionaries(TEXT, TEXT, max_size=2),
        "cc": st.just(["x@b.org"]),
    },
)


@given(MAILS)
def test_the_short_way_finds_what_the_long_way_finds(mail: dict[str, Any]) -> None:
    raw = msgspec.json.encode(mail)
    request = DECODER.decode(raw)
    assert compose(request, RULES, 1, plain=is_plain(raw))[1] == compose(request, RULES, 1)[1]


@pytest.mark.parametrize("raw", [b'"\\u0000"', b'"\\b"', b'"\\f"', b'"\\ud83d\\ude00"'])
def test_escapes_are_not_plain(raw: bytes) -> None:
    assert not is_plain(raw)


def test_line_ends_quotes_and_utf8_are_plain() -> None:
    assert is_plain('"a\\n\\r\\t\\"\\/ü"'.encode())
