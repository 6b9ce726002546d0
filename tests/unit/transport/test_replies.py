import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.transport.smtp.replies import (
    MOST_LINE,
    MOST_LINES,
    MOST_REPLY,
    MOST_TEXT,
    Broken,
    Reader,
    Reply,
    clean,
)


def read(data: bytes) -> list[Reply]:
    reader = Reader()
    replies = reader.feed(data)
    assert reader.broken is None
    return replies


@pytest.mark.parametrize(
    ("said", "code", "enhanced", "text"),
    [
        (b"250 2.1.0 Ok\r\n", 250, "2.1.0", "Ok"),
        (b"250 Ok\r\n", 250, None, "Ok"),
        (b"250\r\n", 250, None, ""),
        (b"250 \r\n", 250, None, ""),
        (b"250 2.0.0\r\n", 250, "2.0.0", ""),
        (b"550 4.1.1 of another class\r\n", 550, None, "of another class"),
        (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", 550, "5.1.1", "no such user"),
        (b"421 bare LF\n", 421, None, "bare LF"),
        (b"550 bell \x07 and \x1b[31m red\r\n", 550, None, "bell   and  [31m red"),
        (b"550 caf\xc3\xa9 \xff\r\n", 550, None, "café \ufffd"),
    ],
)
def test_a_reply(said, code, enhanced, text):
    (reply,) = read(said)
    assert (reply.code, reply.enhanced, reply.text) == (code, enhanced, text)


def test_text_is_bounded():
    (reply,) = read(b"550 " + b"x" * 5000 + b"\r\n")
    assert reply.text == "x" * MOST_TEXT


@given(st.text())
def test_clean_text_is_one_printable_line(text):
    assert all(c.isprintable() for c in clean(text))
    assert len(clean(text)) <= MOST_TEXT


@given(st.lists(st.integers(1, 20)))
def test_replies_come_out_the_same_however_they_are_cut(cuts):
    said = b"220 hi\r\n250-one\r\n250-two\r\n250 three\r\n354 go\r\n" * 3
    reader, replies, at = Reader(), [], 0
    for cut in [*cuts, len(said)]:
        replies += reader.feed(said[at : at + cut])
        at += cut
    assert replies == read(said)
    assert len(replies) == 9
    assert not reader.halfway


@pytest.mark.parametrize(
    "said",
    [
        b"hello\r\n",
        b"199 too small\r\n",
        b"600 too large\r\n",
        b"\r\n",
        b"250-one\r\n550 two\r\n",
        b"250-one\r\n550-two\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"x" * (MOST_LINE + 1),
        b"250 " + b"x" * MOST_LINE + b"\r\n",
        b"250-" + b"x" * MOST_LINE + b"\r\n",
        (b"250-" + b"x" * 1000 + b"\r\n") * (MOST_REPLY // 1000 + 1),
        b"250-\r\n" * (MOST_LINES + 1),
    ],
)
def test_what_is_no_reply_breaks_the_link(said):
    reader = Reader()
    assert reader.feed(said) == []
    assert isinstance(reader.broken, Broken)


def test_what_came_before_the_nonsense_counts():
    reader = Reader()
    (reply,) = reader.feed(b"250 taken\r\nnonsense\r\n250 more\r\n")
    assert reply.code == 250
    assert str(reader.broken) == "not an SMTP reply: nonsense"


@pytest.mark.parametrize("piece", [1, 1000, 65_536, 1_000_000])
def test_what_came_before_a_line_that_is_too_long_counts_and_nothing_of_it_is_kept(piece):
    """However it is cut: a reply that is whole is one, and no more is held than a line may have."""
    said = b"250 taken\r\n250 " + b"x" * 1_000_000
    reader, replies, at, held = Reader(), [], 0, 0
    while reader.broken is None:
        replies += reader.feed(said[at : at + piece])
        at += piece
        held = max(held, len(reader._rest))
    assert [reply.text for reply in replies] == ["taken"]
    assert at <= MOST_LINE + piece + 20
    assert held <= MOST_LINE
    assert not reader.halfway


def test_halfway():
    reader = Reader()
    assert list(reader.feed(b"250-more to come\r\n")) == []
    assert reader.halfway
