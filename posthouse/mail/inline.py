"""The rules of a template's <style> elements into the style attributes of its tags, for mail readers that know no <style>.

Rules: a template stays as it was written, letter by letter, but for these attributes: what a tag says itself stands
behind what rules say of it, so it still wins. The <style> elements stay, for what no attribute can say (@media, :hover).
One with a Jinja2 statement in it is left alone, since it holds at times only. Nothing is loaded from anywhere.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count

from posthouse.mail.mask import Masked, mask
from posthouse.mail.template import BadTemplate

_ATTRIBUTES = r"""(?:[^"'<>]|"[^"]*+"|'[^']*+')*+"""
_TAG = re.compile(
    rf"""<!--.*?(?:-->|\Z)|<(?P<raw>style|script|title|textarea)\b(?P<head>{_ATTRIBUTES})>(?P<body>.*?)(?:</(?P=raw)|\Z)"""
    rf"""|<(?P<name>[a-z][^\s/<>"']*+)(?P<rest>{_ATTRIBUTES})>""",
    re.S | re.I,
)
_ATTRIBUTE = re.compile(r"""\s*([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?""")
_QUOTE, _ENTITY = '"', "&quot;"
_HAS_STYLE = re.compile("<style", re.I)


def inline_css(html: str) -> str:
    """A valid html template with its styles in place. Raises BadTemplate."""
    if not _HAS_STYLE.search(html):
        return html
    masked = mask(html)
    mark, numbers = f"data-{masked.stem}", count()
    numbered = _TAG.sub(lambda tag: _numbered(tag, mark, numbers, masked), masked.text)
    found = dict(_styles(_inliner()(numbered), mark))
    numbers = count()
    return masked.back(_TAG.sub(lambda tag: _styled(tag, found, numbers), masked.text))


def _numbered(tag: re.Match[str], mark: str, numbers: Iterator[int], masked: Masked) -> str:
    """A tag with its number instead of its own style; a <style> that is to be left alone says so."""
    if tag["name"]:
        return f'<{tag["name"]} {mark}="{next(numbers)}"{_apart(tag["rest"])[0]}>'
    if tag["raw"] and tag["raw"].lower() == "style" and masked.statements(tag[0]):
        return tag[0].replace(tag["raw"], f"{tag['raw']} data-css-inline='ignore'", 1)
    return tag[0]


def _styled(tag: re.Match[str], found: Mapping[int, str], numbers: Iterator[int]) -> str:
    rules = found.get(next(numbers)) if tag["name"] else None
    if not rules:
        return tag[0]
    rest, said = _apart(tag["rest"])
    style = rules.rstrip("; ") + (f"; {said.replace(_QUOTE, _ENTITY)}" if said else "")
    return f'<{tag["name"]} style="{style}"{rest}>'


def _styles(html: str, mark: str) -> Iterator[tuple[int, str]]:
    """The style of each tag that has a number and a style, as it stands in a double-quoted attribute."""
    number = re.compile(rf'\s{mark}="([0-9]+)"')
    for tag in _TAG.finditer(html):
        numbered = number.search(tag["rest"]) if tag["name"] else None
        if numbered and (style := _apart(tag["rest"])[1]):
            yield int(numbered[1]), style


def _apart(attributes: str) -> tuple[str, str]:
    """The attributes of a tag without its style; and the style."""
    for found in _ATTRIBUTE.finditer(attributes):
        if found[1].lower() == "style":
            rest = attributes[: found.start()] + attributes[found.end() :]
            return rest, found[2] or found[3] or found[4] or ""
    return attributes, ""


def _inliner() -> Callable[[str], str]:
    try:
        from css_inline import CSSInliner
    except ImportError:
        raise BadTemplate("a <style> needs the extra: pip install 'posthouse[templates]'") from None
    return CSSInliner(load_remote_stylesheets=False).inline
