"""Plain text from HTML, for the text part of a mail that was given as HTML only; and whether a body is HTML at all.

Rules: time and memory grow with the input and no faster, whatever is nested or left open: tags are read one after
the other and no tree is built (a parser that follows the HTML standard builds one, and eight kilobytes of unclosed
<b> cost it 190 ms and 170 MiB). What it reads badly, it still reads.
"""

import re
from collections.abc import Callable
from html import unescape

LIMIT = 500_000
"""Characters of HTML that are read; text from more ends with CUT."""
CUT = "\n\n[…]"

_GAP, _LINE, _BLANK = 1, 2, 3
"""What keeps two texts apart: a gap between cells, a line end, an empty line."""
# Marks that live through the collapsing of white space. They are control characters, which a body cannot hold; in
# one that was never checked they would only become white space.
_LINE_END = "\x01"
_SPACE = "\x02"
_AMPERSAND = "\x03"
_BETWEEN = ("", " " + _SPACE, _LINE_END, _LINE_END * 2)
_INDENT = _SPACE * 2
_KEPT = {ord(" "): _SPACE, ord("\t"): _SPACE * 4, ord("\n"): _LINE_END, ord("\r"): _LINE_END}
_EDGES = " \r\n\t-" + _LINE_END + _SPACE
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_SHOWN_SCHEMES = ("http://", "https://", "mailto:", "tel:")
_TAG_END = re.compile(r"""[^"'>]*(?:(?:"[^"]*"|'[^']*')[^"'>]*)*>""")
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
# The invisible characters that senders stuff a preheader with, three or more in a row.
_INVISIBLE = "\u00ad\u034f\u061c\u2007\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_PADDING = re.compile(rf"(?:[{_INVISIBLE}]\s*){{3,}}")
_PAIRED = (
    "a|abbr|b|blockquote|body|center|code|div|em|font|footer|form|h[1-6]|head|header|html|i|li|main|nav|ol|p|pre|s|"
    "section|small|span|strong|style|sub|sup|table|tbody|td|th|thead|tr|u|ul"
)
_OPENED = re.compile(rf"<({_PAIRED})(?:\s+[a-z-]+\s*=[^<>]*|\s*)>", re.I)
_CLOSED = re.compile(rf"</({_PAIRED})\s*>", re.I)
_CERTAIN = re.compile(
    r"<(?:!doctype\s+html|html|body)\b[^<>]*>|<(?:br|hr)\s*/?>|<img\s[^<>]*src\s*=[^<>]*>", re.I
)
_LOOKED_AT = 100_000


def looks_like_html(body: str) -> bool:
    """Whether a body is meant as HTML: it has a doctype, an html, body, br, hr or img tag, or it begins with <p> or
    <div>, or a tag that HTML knows is opened and closed. `a < b`, <ann@example.org> and <https://…> are text."""
    if "<" not in body:
        return False
    start = body[:_LOOKED_AT]
    if _CERTAIN.search(start) or re.match(r"\s*<(?:p|div)>", start, re.I):
        return True
    opened = {tag.lower() for tag in _OPENED.findall(start)}
    return not opened.isdisjoint(tag.lower() for tag in _CLOSED.findall(start))


def text_of(html: str) -> str:
    """The text of a page: links as `text (url)`, list items after `- `, paragraphs and headings apart by an empty
    line, table rows on a line each, `pre` kept, white space collapsed. No line end at its end."""
    shown = html[:LIMIT]
    if "&" in shown:
        shown = shown.replace("&nbsp;", " ").replace("&amp;", _AMPERSAND)
    if "<!--" in shown:
        shown = _COMMENT.sub("", shown)
    first, *pieces = shown.split("<")
    page = _Page()
    owed = page.say(first, 0)
    for piece in pieces:
        tag, _, text = piece.partition(">")
        if ">" in text:
            tag, text = _whole_tag(piece, tag, text)
        rule = _RULES.get(tag) or _RULES.get(tag.partition(" ")[0]) or _rule(tag)
        if page.until and not tag.lower().startswith(page.until):
            continue
        if rule is None:
            owed = page.say("<" + piece, owed)
            continue
        breaks, act = rule
        if breaks > owed and not page.bullet:
            owed = breaks
        if act is not None:
            owed = act(page, tag, owed)
        if owed or page.verbatim:
            owed = page.say(text, owed)
        elif not page.until:
            page.out.append(text)
    page.close_link("", owed)
    return _finish("".join(page.out)) + (CUT if len(html) > LIMIT else "")


def _finish(text: str) -> str:
    """Resolves the character references, collapses white space line by line, and puts in what the marks stand for."""
    if "&" in text:
        text = unescape(text)
    if not text.isascii() and any(map(text.__contains__, _INVISIBLE)):
        text = _PADDING.sub(" ", text)
    text = "\n".join([" ".join(line.split()) for line in text.split(_LINE_END)])
    return text.replace(_SPACE, " ").replace(_AMPERSAND, "&").strip()


def _rule(tag: str) -> "_Rule | None":
    """The rule for a tag that is not written in the usual way; None if this is only a less-than sign."""
    if not tag or not (tag[0].isalpha() or tag[0] in "/!?"):
        return None
    return _RULES.get(tag.split(None, 1)[0].lower().rstrip("/"), _NOTHING)


def _whole_tag(piece: str, tag: str, text: str) -> tuple[str, str]:
    """The tag and the text behind it, where the first > may stand in quotes."""
    end = _TAG_END.match(piece)
    return (piece[: end.end() - 1], piece[end.end() :]) if end else (tag, text)


class _Page:
    """The text so far, a bullet that waits for its text, and what changes the reading: the end of what is hidden, and
    whether white space is kept. What keeps the next text apart from the last is owed, and handed from call to call:
    each method takes it and gives what is owed then. Those that _RULES names take the whole tag too."""

    __slots__ = ("bullet", "depth", "link", "link_at", "out", "until", "verbatim")

    def __init__(self) -> None:
        self.out: list[str] = []
        self.bullet = ""
        self.depth = 0
        self.link = ""
        self.link_at = 0
        self.until = ""
        self.verbatim = False

    def say(self, text: str, owed: int) -> int:
        """Text between two tags. Its white space is collapsed at the end, all at once."""
        if self.until or not text:
            return owed
        if self.verbatim:
            text = text.replace("\r\n", "\n").removeprefix("\n" if owed else "").translate(_KEPT)
        if owed:
            text = text.lstrip()
            if not text:
                return owed
            self.out.append(_BETWEEN[owed] + self.bullet)
            self.bullet = ""
        self.out.append(text)
        return 0

    def line(self, tag: str, owed: int) -> int:
        return min(max(owed, _GAP) + 1, _BLANK)

    def rule(self, tag: str, owed: int) -> int:
        self.say("---", owed)
        return _BLANK

    def item(self, tag: str, owed: int) -> int:
        self.bullet = _INDENT * min(max(self.depth - 1, 0), 8) + "- "
        return owed

    def open_list(self, tag: str, owed: int) -> int:
        self.depth += 1
        return owed if self.depth == 1 else _LINE

    def close_list(self, tag: str, owed: int) -> int:
        self.depth = max(self.depth - 1, 0)
        self.bullet = ""
        return _LINE if self.depth else _BLANK

    def open_pre(self, tag: str, owed: int) -> int:
        self.verbatim = True
        return owed

    def hide(self, tag: str, owed: int) -> int:
        self.until = "/" + tag.split(None, 1)[0].lower().rstrip("/")
        return owed

    def plainly(self, tag: str, owed: int) -> int:
        """What was hidden or verbatim ends."""
        if self.verbatim and self.out:
            self.out[-1] = self.out[-1].removesuffix(_LINE_END)
        self.until = ""
        self.verbatim = False
        return owed

    def image(self, tag: str, owed: int) -> int:
        alt = _ALT.search(tag)
        return self.say(alt[1] or alt[2] or alt[3] or "", owed) if alt else owed

    def open_link(self, tag: str, owed: int) -> int:
        owed = self.close_link(tag, owed)
        href = _HREF.search(tag)
        url = "".join((href[1] or href[2] or href[3] or "").split()) if href else ""
        if url.lower().startswith(_SHOWN_SCHEMES):
            self.link = url
            self.link_at = len(self.out)
        return owed

    def close_link(self, tag: str, owed: int) -> int:
        if not self.link:
            return owed
        url, self.link = self.link.removeprefix("mailto:").removeprefix("tel:"), ""
        said = "".join(self.out[self.link_at :]).strip(_EDGES)
        if not said:
            return self.say(url, owed)
        if said not in (url, url.partition("://")[2].rstrip("/")):
            self.out.append(f" ({url})")
        return owed


_Act = Callable[[_Page, str, int], int]
_Rule = tuple[int, _Act | None]
_NOTHING: _Rule = (0, None)
_HIDDEN = ("script", "style", "title", "template", "svg")
_ACTS: dict[str, _Act] = {
    "br": _Page.line,
    "hr": _Page.rule,
    "li": _Page.item,
    "ul": _Page.open_list,
    "ol": _Page.open_list,
    "/ul": _Page.close_list,
    "/ol": _Page.close_list,
    "pre": _Page.open_pre,
    "/pre": _Page.plainly,
    "img": _Page.image,
    "a": _Page.open_link,
    "/a": _Page.close_link,
    **dict.fromkeys(_HIDDEN, _Page.hide),
    **dict.fromkeys((f"/{name}" for name in _HIDDEN), _Page.plainly),
}
_BLOCKS = "p h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre hr figure form fieldset"
_LINES = "div tr li dt dd section article header footer main nav aside address center caption figcaption body"
_INLINE = "!doctype b em font head html i link meta small span strong tbody u"


def _rules() -> dict[str, _Rule]:
    rules: dict[str, _Rule] = {"td": (_GAP, None), "th": (_GAP, None), "/td": _NOTHING, "/th": _NOTHING}
    for tags, breaks in ((_BLOCKS, _BLANK), (_LINES, _LINE), (_INLINE, 0)):
        for tag in tags.split():
            rules[tag] = rules["/" + tag] = (breaks, None)
    for tag, act in _ACTS.items():
        rules[tag] = (rules.get(tag, _NOTHING)[0], act)
    return rules


_RULES = _rules()
