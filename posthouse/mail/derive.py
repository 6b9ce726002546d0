"""The text of a template, derived from its html once, so that no mail needs to do it: the same text with the same Jinja2.

Rules: what it gives is what mail.plain reads in the mail's own html, but for white space within values and links whose
whole address is a value. Where that is not certain there is none, and each mail derives its own: values that are html
themselves, statements within tags that set something, html too long for one reading.
"""

import re

from jinja2 import TemplateSyntaxError, nodes

from posthouse.mail.mask import Masked, mask
from posthouse.mail.plain import LIMIT, text_of
from posthouse.mail.template import environment

_MARKUP = frozenset(("safe", "escape", "e", "forceescape", "urlize", "xmlattr"))
"""Filters whose values are html."""
_MAY_GO = frozenset(("if", "elif", "else", "endif", "for", "endfor"))
"""Statements that may stand where a text has no place for them, in tags and styles."""
_JINJA = re.compile(r"\{[{%#]")
_HREF = r"""(\bhref\s*=\s*["']?)(?=%s)"""


def derive_text(html: str) -> str | None:
    """The text template of a valid html template, or None."""
    masked = mask(html)
    if len(html) > LIMIT or _has_markup(html) or "raw" in masked.statements(masked.text):
        return None
    page = masked.words("c").sub("", masked.text)
    # A link that a variable names: mail.plain shows no others than those of schemes that it knows, and cuts this one off.
    page = re.sub(_HREF % masked.words("v").pattern, r"\1tel:", page, flags=re.I)
    text = _close_up(text_of(page), masked)
    if not text or _JINJA.search(text) or not _keeps(masked.statements(page), masked.statements(text)):
        return None
    derived = masked.back(text)
    try:
        environment(False).from_string(derived)
    except TemplateSyntaxError:
        return None
    return derived


def _has_markup(html: str) -> bool:
    tree = environment(True).parse(html)
    return any(each.name in _MARKUP for each in tree.find_all(nodes.Filter))


def _keeps(before: list[str], after: list[str]) -> bool:
    """Whether no statement was lost but such as may go."""
    left = iter(before)
    for name in after:
        for each in left:
            if each == name:
                break
            if each not in _MAY_GO:
                return False
    return _MAY_GO.issuperset(left)


def _close_up(text: str, masked: Masked) -> str:
    """A statement between two texts takes no line of its own: the line ends on its sides count as those of one gap."""
    out: list[str] = []
    gap = 2
    statement = masked.words("s")
    for piece in re.split(rf"(\n+|{masked.stem}s[0-9]+z)", text):
        if piece.startswith("\n"):
            out.append("\n" * (len(piece) - gap))
            gap = max(gap, len(piece))
        elif piece:
            out.append(piece)
            gap = gap if statement.fullmatch(piece) else 0
    return "".join(out)
