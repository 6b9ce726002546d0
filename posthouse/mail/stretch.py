"""Text that is much the same from mail to mail becomes a part of a mail: what is constant in it is encoded once, the rest with
the lines it stands in.

Rules: a part is that of `mime_part.text_part` for the whole text, to the byte. Where that is not plain to see there is none,
and `text_part` has to make it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from posthouse.mail.mime_part import MAX_LINE, MAX_QUOTED, QUOTED_LINE, Part, quoted_printable, text_head

_UNSAYABLE = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff]")
_PLAIN_LINE = re.compile(rf"(?!From |\.\Z)(?!.*--=_)[\t -~]{{0,{MAX_LINE}}}(?<![\t ])\Z")
_QUOTED_AS_IS = re.compile(rf"(?!From |\.)[ -<>-~]{{0,{QUOTED_LINE}}}(?<! )\Z")


class Stretch(NamedTuple):
    """A constant text with a line break in it: the rest of a line, whole lines, the beginning of a line. What is between
    `first` and `last` is one string or none; None where it cannot go like that. `more` is how many octets UTF-8 adds."""

    first: str
    last: str
    plain: list[str] | None
    quoted: list[bytes] | None
    more: int


Stretches = dict[str, Stretch | None]
"""The constants of a text; None for one without a line break."""


def stretches(constants: Iterable[str]) -> Stretches:
    """All of these but those with what no text may hold."""
    return {
        text: _stretch(text) if "\n" in text else None for text in constants if not _UNSAYABLE.search(text)
    }


def part_of(kind: Literal["plain", "html"], pieces: Sequence[str], known: Stretches) -> Part | None:
    """The part that the pieces of a text make, or None."""
    if not known or not all(piece in known or piece.isprintable() for piece in pieces):
        return None
    plain = _plain(pieces, known)
    if plain is not None:
        return text_head(kind, "7bit"), [plain]
    quoted = _quoted(pieces, known)
    return None if quoted is None else (text_head(kind, "quoted-printable"), [quoted])


def _plain(pieces: Sequence[str], known: Stretches) -> bytes | None:
    lines: list[str] = []
    line = ""
    for piece in pieces:
        stretch = known.get(piece)
        if stretch is None:
            line += piece
            continue
        line += stretch.first
        if stretch.plain is None or not _PLAIN_LINE.match(line):
            return None
        lines.append(line)
        lines += stretch.plain
        line = stretch.last
    if not _PLAIN_LINE.match(line):
        return None
    lines.append(line)
    return "\r\n".join(lines).encode("ascii")


def _quoted(pieces: Sequence[str], known: Stretches) -> bytes | None:
    lines: list[bytes | None] = []
    line, more = "", 0
    for piece in pieces:
        stretch = known.get(piece)
        if stretch is None:
            line += piece
            more += 0 if piece.isascii() else len(piece.encode()) - len(piece)
            continue
        if stretch.quoted is None:
            return None
        lines.append(_quoted_line(line + stretch.first))
        lines += stretch.quoted
        line, more = stretch.last, more + stretch.more
    lines.append(_quoted_line(line, end=""))
    octets = sum(map(len, pieces)) + more
    if None in lines or more * 12 >= octets or octets > MAX_QUOTED:
        return None
    return b"\r\n".join(line for line in lines if line is not None)


def _quoted_line(line: str, end: str = "\n") -> bytes | None:
    return line.encode("ascii") if _QUOTED_AS_IS.match(line) else _quote(line, end)


def _quote(text: str, end: str = "\n") -> bytes | None:
    """Lines as they come out in any text; None where one is too long: what becomes of the text then, all of it decides.
    The `end` that follows them counts, but is left out."""
    quoted = quoted_printable((text + end).encode())
    return quoted and quoted.removesuffix(b"\r\n" if end else b"")


def _stretch(text: str) -> Stretch:
    first, *between, last = text.split("\n")
    plain, quoted = "\r\n".join(between), _quote("\n".join(between))
    return Stretch(
        first,
        last,
        plain=None if not all(map(_PLAIN_LINE.match, between)) else [plain] if between else [],
        quoted=None if quoted is None else [quoted] if between else [],
        more=len(text.encode()) - len(text),
    )
