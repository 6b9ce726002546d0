"""How a server's bytes become replies: several lines, enhanced codes (RFC 2034), and a cap on what it may say.

What cannot be a reply raises Broken; the link is then closed, for nothing after it can be trusted.
"""

import re

import msgspec

MOST_LINE = 8 << 10
"""Bytes of one reply line at most (RFC 5321 §4.5.3.1.5 asks for 512; servers say more)."""
MOST_REPLY = 64 << 10
"""Bytes of one reply at most, all its lines together."""
MOST_LINES = 1000
"""Lines of one reply at most."""
MOST_TEXT = 500
"""Characters of a reply's text that are kept."""

_HEAD = re.compile(rb"\d{3}[ \t-]?(?:([245]\.\d{1,3}\.\d{1,3})(?!\S)[ \t]*)?")
ZERO = b"0"[0]
_CODES = range(200, 600)
_LAST = {b"%d%s" % (code, end): code for code in _CODES for end in (b" ", b"\r", b"", b"\t")}
_MORE = {b"%d-" % code: code for code in _CODES}


class Broken(Exception):
    """The server does not speak SMTP, or spoke out of step."""


class Reply(msgspec.Struct, frozen=True):
    """One reply: its code from 200 to 599, and its lines as they came."""

    code: int
    lines: tuple[bytes, ...]

    def read(self) -> tuple[str | None, str]:
        """Its enhanced code (RFC 3463; None without one of the reply's own class), and its text, safe to show: one
        line, without enhanced codes, at most MOST_TEXT characters."""
        enhanced, text = _split(self.lines[0])
        if len(self.lines) > 1:
            text = b" ".join([text, *(_split(line)[1] for line in self.lines[1:])])
        if enhanced is not None and enhanced[0] - ZERO != self.code // 100:
            enhanced = None
        return enhanced.decode() if enhanced else None, clean(text)

    @property
    def enhanced(self) -> str | None:
        """The first half of `read`."""
        return self.read()[0]

    @property
    def text(self) -> str:
        """The second half of `read`."""
        return self.read()[1]


def _split(line: bytes) -> tuple[bytes | None, bytes]:
    line = line.rstrip()
    match = _HEAD.match(line)
    return (match[1], line[match.end() :]) if match else (None, line)


def clean(said: bytes | str) -> str:
    """Any text as one line that is safe to show: control characters become spaces, the length is bounded."""
    text = said if isinstance(said, str) else said[: 4 * MOST_TEXT].decode("utf-8", "replace")
    if len(text) > MOST_TEXT:
        text = text[:MOST_TEXT]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip()


class Reader:
    """Gathers bytes into replies. `broken` is set once what came is none; nothing is read after that."""

    def __init__(self) -> None:
        self.broken: Broken | None = None
        self._rest = b""
        self._lines: list[bytes] = []
        self._code = self._size = 0

    @property
    def halfway(self) -> bool:
        """Whether a reply has begun and is not complete."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes, as far as it can be read."""
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        replies: list[Reply] = []
        try:
            for line in lines:
                if len(line) > MOST_LINE:
                    raise Broken("a reply line is too long")
                code = _LAST.get(line[:4])
                if code is None:
                    self._more(line)
                elif self._lines:
                    replies.append(self._joined(code, line))
                else:
                    replies.append(Reply(code, (line,)))
            if len(self._rest) > MOST_LINE:
                raise Broken("a reply line is too long")
        except Broken as broken:
            self.broken, self._rest = broken, b""
        return replies

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
        self._lines.append(line)
        self._size += len(line)
        if self._size > MOST_REPLY or len(self._lines) > MOST_LINES:
            raise Broken("a reply is too long")
