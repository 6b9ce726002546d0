"""The process that renders templates, and makes them ready to be rendered, for others (delivery.render): what is wrong
with a template costs it, and no one else.

Rules: a mail may take CPU seconds, and the process MEMORY; beyond that the mail is refused with the reason. A template
comes with the mails, or is read from its folder when it is needed. It has nothing but mail/ and that folder in it.
"""

import contextlib
import resource
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import FrameType

import msgspec
import structlog

from posthouse.delivery.frames import run
from posthouse.mail.errors import MailError
from posthouse.mail.message import Content, Message
from posthouse.mail.outcome import Outcome, refused
from posthouse.mail.press import press
from posthouse.mail.series import write_filled
from posthouse.mail.template import BadTemplate, Made, Source, fill
from posthouse.mail.unsubscribe import LIST, Links
from posthouse.templates import TemplateFolder

CPU = 2.0
"""Seconds of computing for one mail."""
MEMORY = 1 << 30
"""Bytes of memory for the process."""

NO_FOLDER = Outcome(result="deferred", text="this worker has no templates: POSTHOUSE_TEMPLATES is not set")

Find = Callable[[str], Made | None]


class Order(msgspec.Struct, frozen=True, array_like=True):
    """A mail to be rendered; `template` is the place of its template in the request, None for one of the folder. What it
    says is answered only if that is to be `kept`."""

    message: Message
    content: Content
    template: int | None = None
    kept: bool = True


class Orders(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A request: mails, their templates, each of them once, and what the links in them are made with. The answer is a list
    of Built, in the same order."""

    mails: Sequence[Order]
    templates: Sequence[Made] = ()
    links: Links | None = None


class Built(msgspec.Struct, frozen=True):
    """A rendered mail: what it says, if that is to be kept, and its bytes; or only what becomes of it without."""

    content: Content | None
    data: bytes | Outcome


class Press(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A request: a template as written. The answer is Pressed."""

    source: Source


class Pressed(msgspec.Struct, frozen=True):
    """What mails are made of; or what is wrong with it."""

    made: Made | None
    fault: str = ""


_REQUEST = msgspec.msgpack.Decoder(Orders | Press)


def answer(request: bytes | bytearray, find: Find | None) -> bytes:
    """The answer to a request; `find` finds the templates of the folder, if there is one."""
    asked = _REQUEST.decode(request)
    if isinstance(asked, Press):
        return msgspec.msgpack.encode(press_or_refuse(asked.source))
    with _bounded():
        built = [render_and_write(order, asked, find) for order in asked.mails]
    return msgspec.msgpack.encode(built)


def press_or_refuse(source: Source) -> Pressed:
    """A template made ready. It may take longer than a mail: whoever asked ends the process when he has waited enough."""
    try:
        return Pressed(press(source))
    except MailError as error:
        return Pressed(None, error.text)
    except (MemoryError, RecursionError):
        return Pressed(None, "it is too deep or too large")


def render_and_write(order: Order, asked: Orders, find: Find | None) -> Built:
    """Renders one mail of a request; refused with the reason, or tried again where the fault is ours."""
    message = order.message
    if order.template is None and find is None:
        return Built(None, NO_FOLDER)
    try:
        _restart_clock()
        link = asked.links and asked.links.of(order.content)
        filled = fill(message, order.content, _template_of(order, asked.templates, find), link)
        kept = filled.into(order.content) if order.kept else None
        data = write_filled(message, order.content, filled, link if message.lane == LIST else None)
        return Built(kept, data)
    except MailError as error:
        return Built(None, refused(error.text))
    except MemoryError:
        return Built(None, refused("the template takes too much memory"))
    except Exception:
        structlog.get_logger("delivery").exception("mail not rendered", id=message.id)
        return Built(None, Outcome(result="deferred", text="it could not be rendered: an error of ours"))


def _template_of(order: Order, templates: Sequence[Made], find: Find | None) -> Made:
    if order.template is not None:
        return templates[order.template]
    made = find(order.content.template or "") if find else None
    if made is None:
        raise BadTemplate("there is no template of this name any more")
    return made


class Folder:
    """Finds the templates of a folder, each made ready once for as long as its files are the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = TemplateFolder(folder)
        self._known: dict[str, tuple[Source, Made]] = {}

    def find(self, id: str) -> Made | None:
        """None where there is none; raises BadTemplate."""
        source = self._folder.find(id)
        if source is None:
            return None
        known = self._known.get(id)
        if known is None or known[0] is not source:
            known = self._known[id] = (source, press(source, inline=False))
        return known[1]


@contextlib.contextmanager
def _bounded() -> Generator[None]:
    """Stops what computes for too long since the clock was last restarted: not by the clock on the wall, since others
    compute too."""
    signal.signal(signal.SIGVTALRM, _stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _restart_clock() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU)


def _stop(number: int, frame: FrameType | None) -> None:
    raise BadTemplate(f"the template takes more than {CPU:g} s to render")


def _limit_memory() -> None:
    with contextlib.suppress(ValueError, OSError):  # a system may know no such limit, or have set a lower one
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    _limit_memory()
    folder = Folder(Path(sys.argv[2])) if len(sys.argv) > 2 else None
    run(lambda request: answer(request, folder and folder.find))
