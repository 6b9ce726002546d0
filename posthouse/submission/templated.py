"""The template and the variables of a request: whether they can be used at all; rendered is at the first attempt."""

from collections.abc import Callable, Iterator
from typing import Any, cast

from posthouse.mail.template import BadTemplate, Source
from posthouse.submission.problems import pointer
from posthouse.submission.request import SendRequest

DEEPEST = 32
"""Levels of lists and objects within variables."""
LARGEST = 2**63
"""A whole number beyond it has no place in what stores keep."""

_C0 = frozenset(chr(code) for code in range(32) if chr(code) not in "\t\r\n")

Find = Callable[[str], Source | None]
"""Finds a template by its id; raises BadTemplate."""


def template_faults(request: SendRequest, find: Find | None) -> Iterator[tuple[str, str]]:
    """Pointer and detail of each thing that is wrong; without `find` no template is."""
    if find is None:
        for field in ("template", "variables"):
            if getattr(request, field) is not None:
                yield f"/{field}", "templates are not available on this server"
        return
    if request.template is not None:
        yield from _wrong_template(request, request.template, find)
    elif request.variables is not None:
        yield "/variables", "variables go with a template"
    yield from variable_faults(request.variables or {})


def _wrong_template(request: SendRequest, id: str, find: Find) -> Iterator[tuple[str, str]]:
    if any(given is not None for given in (request.body, request.html, request.text)):
        yield "/template", "a template cannot go together with body, html or text"
    try:
        source = find(id)
    except BadTemplate as error:
        yield "/template", error.text
        return
    if source is None:
        yield "/template", "there is no template of this name"
    elif request.subject is None and source.subject is None:
        yield "/subject", "this field is required: the template has no subject"


def variable_faults(variables: dict[str, Any], *above: str | int) -> Iterator[tuple[str, str]]:
    """The first of each variable's faults, with its pointer (`above` are the steps before it). Level by level, so that no depth is too deep for this."""
    for name, variable in variables.items():
        fault = text_fault(name)
        level = [variable]
        for _ in range(DEEPEST):
            if fault or not level:
                break
            fault = next((wrong for each in level if (wrong := _wrong_value(each))), None)
            level = [inner for each in level for inner in _inside(each)]
        else:
            fault = f"it is nested more than {DEEPEST} levels deep" if level else None
        if fault:
            yield pointer(*above, "variables", name), fault


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return [*members.keys(), *members.values()]
    return cast("list[Any]", value) if isinstance(value, list) else []


def _wrong_value(value: Any) -> str | None:
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        return "a whole number must fit into 64 bits"
    return None


def text_fault(text: str) -> str | None:
    """What cannot stand in any text, if that is in it."""
    if not _C0.isdisjoint(text):
        return "control characters other than TAB, CR and LF are not allowed"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair: it is not valid Unicode"
    return None
