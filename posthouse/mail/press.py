"""A template as written becomes what mails are made of, once: MJML is HTML then, styles are in place, the text is there.

Rules: it may take long, and html that is nested deeply enough ends the process: whoever serves others has it done apart
(delivery.render). Errors name a file and a line.
"""

from collections.abc import Iterable, Iterator

import msgspec
from jinja2 import meta, nodes

from posthouse.mail.derive import derive_text
from posthouse.mail.inline import inline_css
from posthouse.mail.template import BUILT_IN, BadTemplate, Made, Source, compiled, environment

_STAND_IN = frozenset(("default", "d"))
_ASKED = frozenset(("defined", "undefined"))


def press(source: Source, *, inline: bool = True) -> Made:
    """What mails are made of; without `inline` styles stay where they are. Raises BadTemplate."""
    html = source.html if source.html is not None else source.mjml and _html_of(source.mjml)
    parts = {"subject": source.subject, "html": html, "text": source.text}
    if html is None and source.text is None:
        raise BadTemplate("one of html, mjml, text is needed")
    for part, text in parts.items():
        if text is not None:
            compiled(part, text)
    if html is not None and inline:
        html = inline_css(html)
        compiled("html", html)
    text = derive_text(html) if html is not None and source.text is None else source.text
    made = Made(
        subject=source.subject,
        html=html,
        text=text,
        derived=text is not None and source.text is None,
        defaults=source.defaults,
    )
    return _with_names(made, [text for text in parts.values() if text is not None])


def _html_of(mjml: str) -> str:
    try:
        from mjml import mjml2html  # pyright: ignore[reportUnknownVariableType]
    except ImportError:
        raise BadTemplate("body.mjml needs the extra: pip install 'posthouse[templates]'") from None
    try:
        return mjml2html(mjml)
    except ValueError:
        text = "body.mjml: it is not valid MJML (a < within {{ }} or {% %} is read as a tag)"
        raise BadTemplate(text) from None


def _with_names(made: Made, parts: Iterable[str]) -> Made:
    named: set[str] = set()
    required: set[str] = set()
    for part in parts:
        tree = environment(False).parse(part)
        free = meta.find_undeclared_variables(tree).difference(BUILT_IN)
        named |= free
        required |= free.intersection(_bare(tree)).difference(_asked_for(tree))
    required.difference_update(made.defaults)
    return msgspec.structs.replace(made, variables=tuple(sorted(named)), required=tuple(sorted(required)))


def _asked_for(tree: nodes.Node) -> set[str]:
    """Variables of which the template asks whether they are there."""
    tests = (test for test in tree.find_all(nodes.Test) if test.name in _ASKED)
    return {test.node.name for test in tests if isinstance(test.node, nodes.Name)}


def _bare(node: nodes.Node) -> Iterator[str]:
    """Variables that are used without a default() right behind them."""
    if isinstance(node, nodes.Name):
        yield node.name
        return
    stood_in = isinstance(node, nodes.Filter) and node.name in _STAND_IN and isinstance(node.node, nodes.Name)
    for child in node.iter_child_nodes(exclude=("node",) if stood_in else None):
        yield from _bare(child)
