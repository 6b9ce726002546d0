"""A strict reader of mail for the tests, written from the standards: nothing of Posthouse is in it.

It refuses what other readers are kind to: bare CR and LF, octets beyond ASCII, lines over 998, encoded-words that are
too long or hold half a character, phrases that are none.
"""

import base64
import quopri
import re
from email.message import Message
from urllib.parse import unquote_to_bytes

_ENCODED = re.compile(r"=\?utf-8\?([qb])\?([!->@-~]*)\?=", re.I)
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
_FIELD = re.compile(r"([!-9;-~]+):((?:[ \t][^\r\n]*)?(?:\r\n[ \t][^\r\n]*)*)\r\n")
_MAILBOX = re.compile(
    r'[ \t]*(?:"((?:[^"\\]|\\.)*)"[ \t]*<([^<>]+)>|([^<>",]+?)[ \t]*<([^<>]+)>|([^\s<>",]+))[ \t]*(?:,|$)'
)
_PARAMETER = re.compile(r"filename(?:\*(\d+))?(\*)?=(?:\"([^\"]*)\"|([^\s;]*))", re.I)


def check_lines(data: bytes) -> None:
    """What holds for each octet and line of a mail (RFC 5321 §2.3.8, RFC 5322 §2.1.1)."""
    assert data.endswith(b"\r\n")
    whole = data.replace(b"\r\n", b"")
    assert b"\r" not in whole and b"\n" not in whole, "a bare CR or LF"
    assert data.isascii() and b"\0" not in data
    assert max(map(len, data.split(b"\r\n"))) <= 998


def read_fields(data: bytes) -> list[tuple[str, str]]:
    """The header fields in order, unfolded; every octet before the first empty line belongs to one."""
    head, empty, _ = data.partition(b"\r\n\r\n")
    assert empty
    text = head.decode("ascii") + "\r\n"
    for line in text.split("\r\n"):
        assert line.strip() or not line, "a line of white space alone (RFC 5322 §2.2.3)"
        assert len(line) <= 76 or not any(map(_ENCODED.fullmatch, line.split())), "RFC 2047 §2"
    fields: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _FIELD.match(text, at)
        assert found, f"not a header field: {text[at : at + 80]!r}"
        fields.append((found[1], found[2].replace("\r\n", "").strip(" \t")))
        at = found.end()
    return fields


def read_words(text: str) -> str:
    """Free text with its encoded-words read; the space between two of them is none (RFC 2047 §6.2)."""
    out: list[str] = []
    after_encoded = False
    for gap, word in re.findall(r"([ \t]*)([^ \t]+)", text):
        encoded = _ENCODED.fullmatch(word)
        if not (encoded and after_encoded):
            out.append(gap)
        out.append(_read_encoded(encoded) if encoded else word)
        after_encoded = encoded is not None
    return "".join(out)


def read_mailboxes(text: str) -> list[tuple[str, str]]:
    """Names and addresses of an address list (RFC 5322 §3.4)."""
    boxes: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _MAILBOX.match(text, at)
        assert found, f"not a mailbox: {text[at : at + 80]!r}"
        at = found.end()
        quoted, after_quoted, phrase, after_phrase, bare = found.groups()
        if phrase is not None:
            assert all(_ATOM.fullmatch(word) or _ENCODED.fullmatch(word) for word in phrase.split())
        name = read_words(phrase) if phrase else re.sub(r"\\(.)", r"\1", quoted or "")
        boxes.append((name, after_quoted or after_phrase or bare))
    return boxes


def read_filename(part: Message) -> str:
    """The file name of a part, put together of its pieces (RFC 2231 §3, §4)."""
    raw = str(part["Content-Disposition"]).replace("\r\n", "").replace("\n", "")
    pieces = sorted(
        (int(number or 0), star, quoted or bare) for number, star, quoted, bare in _PARAMETER.findall(raw)
    )
    assert [number for number, _, _ in pieces] == list(range(len(pieces)))
    coded = "".join(value for _, _, value in pieces)
    if not pieces[0][1]:
        return coded
    charset, _, rest = coded.partition("''")
    return unquote_to_bytes(rest).decode(charset)


def _read_encoded(word: re.Match[str]) -> str:
    assert len(word[0]) <= 75
    if word[1].lower() == "b":
        return base64.b64decode(word[2], validate=True).decode()
    return quopri.decodestring(word[2].encode(), header=True).decode()
