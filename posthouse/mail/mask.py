"""The Jinja2 of a source out of the way of those who read HTML and CSS: each tag becomes a word, which to them is text.

Rules: what is put back is what was there, letter by letter, except line ends (Jinja2 itself reads them all as LF).
Tags with the same text become the same word, so that what is equal stays equal.
"""

import re
from typing import NamedTuple

from posthouse.mail.template import environment

_ENDS = frozenset(("variable_end", "block_end", "comment_end", "raw_end"))
_STATEMENT = re.compile(r"\{%[-+]?\s*([a-z_]+)")


class Masked(NamedTuple):
    """`text` with words for `tags`; a word is `stem`, a letter for its kind (v, s, c: variable, statement, comment), the
    place of its tag, and z."""

    text: str
    tags: list[str]
    stem: str

    def words(self, kinds: str = "vsc") -> re.Pattern[str]:
        """Finds the words of these kinds; the group is the place of the tag."""
        return re.compile(f"{self.stem}[{kinds}]([0-9]+)z")

    def back(self, text: str) -> str:
        """A text with its tags in the places of their words."""
        return self.words().sub(lambda word: self.tags[int(word[1])], text)

    def statements(self, text: str) -> list[str]:
        """The names of the statements of a masked text, in their order: if, endif, …"""
        found = (_STATEMENT.match(self.tags[int(number)]) for number in self.words("s").findall(text))
        return [name[1] for name in found if name]


def mask(source: str) -> Masked:
    """A valid template without its tags."""
    stem = "zq"
    while stem in source:
        stem += "q"
    places: dict[str, int] = {}
    out: list[str] = []
    tag = ""
    for _, kind, value in environment(True).lex(source):
        if kind == "data" and not tag:
            out.append(value)
            continue
        tag += value
        if kind in _ENDS:
            place = places.setdefault(tag, len(places))
            out.append(f"{stem}{_letter(tag)}{place}z")
            tag = ""
    return Masked("".join(out), list(places), stem)


def _letter(tag: str) -> str:
    return {"{": "v", "%": "s", "#": "c"}[tag[1]]
