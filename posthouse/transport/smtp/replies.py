"""How a server's bytes become replies: several lines, enhanced codes (RFC 2034), and a cap on what it may say.

What cannot be a reply raises Broken; the link is then closed, for nothing after it can be trusted.
"""

import re
from collections.abc import Iterator

import msgspec

MOST_LINE = 8 << 10
"""Bytes of one reply line at most (RFC 5321 §4.5.3.1.5 asks for 512; servers say more)."""
MOST_REPLY = 64 << 10
"""Bytes of one reply at most, all its lines together."""
MOST_TEXT = 500
"""Characters of a reply's text that are kept."""

_ENHANCED = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})(?:[ \t]+|\Z)")
_CODES = range(200, 600)
_LAST = {b"%d%s" % (code, end): code for code in _CODES for end in (b" ", b"\r", b"", b"\t")}
_MORE = {b"%d-" % code: code for code in _CODES}


class Broken(Exception):
    """The server does not speak SMTP, or spoke out of step."""


class Reply(msgspec.Struct, frozen=True):
    """One reply: its code from 200 to 599, and its lines without the code."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def enhanced(self) -> str | None:
        """The enhanced code (RFC 3463) when the reply begins with one of its own class."""
        match = _ENHANCED.match(self.lines[0].rstrip())
        if match is None or int(match[1][:1]) != self.code // 100:
            return None
        return match[1].decode()

    @property
    def text(self) -> str:
        """What it says, safe to show: one line, without enhanced codes, at most MOST_TEXT characters."""
        if len(self.lines) == 1:
            return clean(_ENHANCED.sub(b"", self.lines[0].rstrip(), count=1))
        return clean(b" ".join(_ENHANCED.sub(b"", line.rstrip(), count=1) for line in self.lines))


def clean(said: bytes | str) -> str:
    """Any text as one line that is safe to show: control characters become spaces, the length is bounded."""
    text = said if isinstance(said, str) else said[: 4 * MOST_TEXT].decode("utf-8", "replace")
    text = text[:MOST_TEXT]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip()


class Reader:
    """Gathers bytes into replies."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._code = 0
        self._size = 0

    @property
    def halfway(self) -> bool:
        """Whether a reply has begun and is not complete."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The replies that `data` completes, one by one; raises Broken where what follows is none."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            code = _LAST.get(line[:4])
            if code is None:
                self._more(line)
            elif self._lines or len(line) > MOST_LINE:
                yield self._joined(code, line)
            else:
                yield Reply(code, (line[4:],))
        if len(self._rest) > MOST_LINE:
            raise Broken("a reply line is too long")

    def _more(self, line: bytes) -> None:
        code = _MORE.get(line[:4])
        if code is None:
            raise Broken(f"not an SMTP reply: {clean(line[:80])}")
        self._add(code, line)

    def _joined(self, code: int, line: bytes) -> Reply:
        self._add(code, line)
        reply = Reply(code, tuple(self._lines))
        self._lines.clear()
        self._size = 0
        return reply

    def _add(self, code: int, line: bytes) -> None:
        if self._lines and code != self._code:
            raise Broken("a reply changes its code between lines")
        self._code = code
        self._size += len(line)
        if len(line) > MOST_LINE or self._size > MOST_REPLY:
            raise Broken("a reply is too long")
        self._lines.append(line[4:])
