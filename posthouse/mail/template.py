"""A template makes the subject, the html and the text of a mail from variables (Jinja2).

Rules: what a template can reach is plain data, in a sandbox; html is escaped; a variable that is missing is an error that
names it; what it gives is bounded. How long it may take is for whoever calls it to bound: it cannot be done in here.
Errors name a file and a line of the template, and never a value.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any, NamedTuple, NoReturn

import msgspec
from jinja2 import StrictUndefined, Template, TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from posthouse.mail.errors import BadContent
from posthouse.mail.message import Content, Message
from posthouse.mail.mime import check_text
from posthouse.mail.stretch import Stretches, stretches

FILES = {"subject": "subject.txt", "html": "body.html", "mjml": "body.mjml", "text": "body.txt"}
"""Where each part of a template lies. MJML is looked at only where there is no html."""
BUILT_IN = ("email", "name", "userName", "roles", "unsubscribeUrl")
"""Variables that are always there; the last one in mail to one person."""
MOST = 2_000_000
"""Characters that one template may give."""

_OURS = "<template>"
"""What Jinja2 calls the file of a template that was never in one."""
_GAP = re.compile(r"\n{3,}")


class BadTemplate(BadContent):
    """A template that cannot be used, or not with these variables. Trying again cannot help."""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A template as written: at least one of html, mjml, text is there. `defaults` are variables beneath all others."""

    subject: str | None = None
    html: str | None = None
    mjml: str | None = None
    text: str | None = None
    defaults: dict[str, Any] = {}


class Made(msgspec.Struct, frozen=True, omit_defaults=True):
    """A template as mails are made of it (mail.press): its html is HTML. A text that was `derived` from the html may
    fail where that does not: then each mail derives its own. `variables` are those that it names, without BUILT_IN;
    `required` those of them that nothing stands in for."""

    subject: str | None = None
    html: str | None = None
    text: str | None = None
    derived: bool = False
    defaults: dict[str, Any] = {}
    variables: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


def is_rendered(content: Content) -> bool:
    """Whether a content says what the mail says: no template, or what one gave is there."""
    return content.template is None or content.html is not None or content.text is not None


class Text(NamedTuple):
    """What a part of a template gave, in pieces, and which of them are constant."""

    pieces: Sequence[str]
    known: Stretches

    def __str__(self) -> str:
        return "".join(self.pieces)


class Filled(NamedTuple):
    """What a template gave; nobody has looked at it yet."""

    subject: str
    html: Text | None
    text: Text | None

    def into(self, content: Content) -> Content:
        """The content with it. Raises BadTemplate where that cannot be sent."""
        html, text = (None if part is None else str(part) for part in (self.html, self.text))
        rendered = msgspec.structs.replace(content, subject=self.subject, html=html, text=text)
        refuse(check_text(rendered))
        return rendered


def refuse(faults: Iterable[tuple[str, str]]) -> None:
    """Raises BadTemplate for the first thing that is wrong with what a template gave."""
    for pointer, detail in faults:
        raise BadTemplate(f"what the template gives cannot be sent: {pointer[1:]}: {detail}")


def render(message: Message, content: Content, made: Made, unsubscribe: str | None = None) -> Content:
    """The content with what the template gives; a subject of its own stays. `unsubscribe` is the link of whoever gets it
    (mail.unsubscribe). Raises BadTemplate."""
    return fill(message, content, made, unsubscribe).into(content)


def fill(message: Message, content: Content, made: Made, unsubscribe: str | None = None) -> Filled:
    """What the template gives, for whoever makes a mail of it. Raises BadTemplate."""
    known = environment(False).globals | variables(message, content, made.defaults, unsubscribe)
    room = _Room()
    parts = _compiled(made.subject, made.html, None if made.derived else made.text)
    filled = {name: part.fill(known, room) for name, part in parts.items()}
    subject = content.subject or " ".join(str(filled.get("subject", "")).split())
    if not subject:
        raise BadTemplate("the template gives no subject")
    text = _derived(made.text, known, room) if made.derived else filled.get("text")
    return Filled(subject, filled.get("html"), text)


def variables(
    message: Message, content: Content, defaults: Mapping[str, Any], unsubscribe: str | None = None
) -> dict[str, Any]:
    """What a template may name: what is known of the first recipient, above that the message's own. The template's
    `defaults` lie beneath both, and stand in for a name that is not known."""
    first = next(iter((*content.to, *content.cc, *content.bcc)), None)
    email = first.email if first else message.recipients[0].email
    name = first.name if first else ""
    known: dict[str, Any] = {"name": "", "roles": [], **defaults, "email": email}
    if name:
        known["name"] = name
    known["userName"] = name or email.rpartition("@")[0]
    if unsubscribe is not None:
        known["unsubscribeUrl"] = unsubscribe
    return known | content.variables


class _Room:
    """The characters that are left for what a template gives. What was escaped is a plain text from here on."""

    def __init__(self) -> None:
        self.left = MOST

    def take(self, piece: str) -> str:
        self.left -= len(piece)
        if self.left < 0:
            raise BadTemplate(f"the template gives more than {MOST} characters")
        return piece if type(piece) is str else str.__str__(piece)


class _Missing(StrictUndefined):
    """An undefined variable whose error says its name, and nothing of the value it was looked for in."""

    @property
    def _undefined_message(self) -> str:
        name = self._undefined_name
        return name if isinstance(name, str) and name.isidentifier() else "of a computed name"


@lru_cache(maxsize=2)
def environment(escaped: bool) -> ImmutableSandboxedEnvironment:
    """What templates are read and rendered in; html is `escaped`."""
    made = ImmutableSandboxedEnvironment(
        autoescape=escaped, undefined=_Missing, keep_trailing_newline=not escaped
    )
    del made.globals["lipsum"], made.filters["random"]  # a mail is no matter of chance
    return made


@lru_cache(maxsize=256)
def _compiled(subject: str | None, html: str | None, text: str | None) -> "dict[str, _Part]":
    parts = {"subject": subject, "html": html, "text": text}
    return {part: _Part(part, compiled(part, source)) for part, source in parts.items() if source is not None}


def compiled(part: str, source: str) -> Template:
    """One part of a template (see FILES); raises BadTemplate."""
    try:
        return environment(part == "html").from_string(source)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"{FILES[part]}, line {error.lineno}: it is not valid Jinja2") from None
    except (RecursionError, MemoryError):
        raise BadTemplate(f"{FILES[part]}: it is too deep or too large") from None


def _derived(source: str | None, known: dict[str, Any], room: _Room) -> Text | None:
    """None where it fails: then the mail's text is made of its html."""
    try:
        text = _compiled(None, None, source)["text"].fill(known, room)
    except BadTemplate:
        return None
    whole = str(text)
    tidy = (_GAP.sub("\n\n", whole) if "\n\n\n" in whole else whole).strip()
    if tidy == whole:
        return text
    return Text([tidy], {}) if tidy else None


class _Part:
    """A part that is filled again and again. Its context is kept from one mail to the next: Jinja2 takes longer to make
    one than to fill most templates."""

    def __init__(self, name: str, template: Template) -> None:
        self._name, self._template = name, template
        self._contexts: list[Context] = []
        self._known = stretches(_constants(template.root_render_func.__code__))

    def fill(self, known: dict[str, Any], room: _Room) -> Text:
        """`known` are all variables, with those of Jinja2. Raises BadTemplate."""
        context = self._contexts.pop() if self._contexts else self._template.new_context()
        context.parent, context.vars, context.exported_vars = known, {}, set()
        try:
            pieces = [*map(room.take, self._template.root_render_func(context))]
        except BadTemplate:
            raise
        except Exception:  # a context that was left in the middle is not used again
            return Text([_fill(self._name, self._template, known, _Room())], {})
        self._contexts.append(context)
        return Text(pieces, self._known)


def _constants(code: CodeType) -> Iterator[str]:
    """All texts that a compiled template gives as they are."""
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _constants(constant)


def _fill(part: str, template: Template, known: Mapping[str, Any], room: _Room) -> str:
    """The same with all that Jinja2 knows of where an error arose."""
    try:
        return "".join(map(room.take, template.generate(known)))
    except BadTemplate:
        raise
    except UndefinedError as error:
        _fail(part, error, f"the variable {error.message} is missing")
    except MemoryError as error:
        _fail(part, error, "it takes too much memory")
    except Exception as error:
        _fail(part, error, f"it cannot be rendered ({type(error).__name__})")


def _fail(part: str, error: BaseException, why: str) -> NoReturn:
    line = _line(error.__traceback__)
    where = FILES[part] if line is None else f"{FILES[part]}, line {line}"
    raise BadTemplate(f"{where}: {why}") from None


def _line(trace: TracebackType | None) -> int | None:
    """The line of the template in which an error arose."""
    line: int | None = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _OURS:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
