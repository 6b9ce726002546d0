"""The process that renders templates for a worker (delivery.render): what is wrong with a template costs it, and no one
else.

Rules: a mail may take CPU seconds, and the process MEMORY; beyond that the mail is refused with the reason. A template is
read from its folder when it is needed. It has nothing but mail/ and that folder in it.
"""

import contextlib
import resource
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType

import msgspec
import structlog

from posthouse.delivery.builder import write_or_refuse
from posthouse.delivery.frames import run
from posthouse.mail.errors import MailError
from posthouse.mail.message import Content, Message
from posthouse.mail.outcome import Outcome, refused
from posthouse.mail.template import BadTemplate, Source, render
from posthouse.templates import TemplateFolder

CPU = 2.0
"""Seconds of computing for one mail."""
MEMORY = 1 << 30
"""Bytes of memory for the process."""

Find = Callable[[str], Source | None]


class Built(msgspec.Struct, frozen=True):
    """A rendered mail: what it says and its bytes; or only what becomes of it without."""

    content: Content | None
    data: bytes | Outcome


_REQUEST = msgspec.msgpack.Decoder(list[tuple[Message, Content]])


def render_and_write(message: Message, content: Content, find: Find) -> Built:
    """Renders one mail; refused with the reason, or tried again where the fault is ours."""
    try:
        with _bounded():
            rendered = _rendered(message, content, find)
            return Built(rendered, write_or_refuse(message, rendered))
    except MailError as error:
        return Built(None, refused(error.text))
    except MemoryError:
        return Built(None, refused("the template takes too much memory"))
    except Exception:
        structlog.get_logger("delivery").exception("mail not rendered", id=message.id)
        return Built(None, Outcome(result="deferred", text="it could not be rendered: an error of ours"))


def _rendered(message: Message, content: Content, find: Find) -> Content:
    source = find(content.template or "")
    if source is None:
        raise BadTemplate("there is no template of this name any more")
    return render(message, content, source)


@contextlib.contextmanager
def _bounded() -> Generator[None]:
    """Stops what computes for too long: not by the clock on the wall, since others compute too."""
    signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _stop(number: int, frame: FrameType | None) -> None:
    raise BadTemplate(f"the template takes more than {CPU:g} s to render")


def _answer(request: bytearray, find: Find) -> bytes:
    mails = _REQUEST.decode(request)
    return msgspec.msgpack.encode([render_and_write(message, content, find) for message, content in mails])


def _limit_memory() -> None:
    with contextlib.suppress(ValueError, OSError):  # a system may know no such limit, or have set a lower one
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    _limit_memory()
    folder = TemplateFolder(Path(sys.argv[2]))
    run(lambda request: _answer(request, folder.find))
