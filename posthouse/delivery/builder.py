"""The process that writes mails as bytes for a worker (delivery.build): reads chunks of records with their content,
answers each chunk with its mails. It has nothing but mail/ in it.
"""

from collections.abc import Sequence

import msgspec
import structlog

from posthouse.delivery.frames import run
from posthouse.mail.errors import MailError
from posthouse.mail.message import Content, Message
from posthouse.mail.mime import write
from posthouse.mail.outcome import Outcome, refused
from posthouse.mail.unsubscribe import Links, link_of


class Writing(msgspec.Struct, frozen=True, array_like=True):
    """A request: mails, and what the links in them are made with. The answer is a list of what became of each."""

    mails: Sequence[tuple[Message, Content]]
    links: Links | None = None


_REQUEST = msgspec.msgpack.Decoder(Writing)


def write_or_refuse(message: Message, content: Content, unsubscribe: str | None = None) -> bytes | Outcome:
    """The mail's bytes, or what becomes of it without: refused with the reason; tried again where the fault is ours.
    `unsubscribe` is the link of whoever gets it, if that is to stand in its head."""
    try:
        return write(message, content, unsubscribe)
    except MailError as error:
        return refused(error.text)
    except Exception:
        structlog.get_logger("delivery").exception("mail not written", id=message.id)
        return Outcome(result="deferred", text="it could not be written: an error of ours")


def _written(request: bytearray) -> bytes:
    """Nothing at all where the records cannot be read: the worker then looks at them itself."""
    try:
        asked = _REQUEST.decode(request)
    except msgspec.DecodeError:
        asked = Writing([])
    return msgspec.msgpack.encode(
        [
            write_or_refuse(message, content, link_of(asked.links, message, content))
            for message, content in asked.mails
        ]
    )


if __name__ == "__main__":
    run(_written)
