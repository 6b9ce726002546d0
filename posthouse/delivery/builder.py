"""The process that writes mails as bytes for a worker (delivery.build): reads chunks of records with their content,
answers each chunk with its mails. It has nothing but mail/ in it.
"""

import msgspec
import structlog

from posthouse.delivery.frames import run
from posthouse.mail.errors import MailError
from posthouse.mail.message import Content, Message
from posthouse.mail.mime import write
from posthouse.mail.outcome import Outcome, refused

_REQUEST = msgspec.msgpack.Decoder(list[tuple[Message, Content]])


def write_or_refuse(message: Message, content: Content) -> bytes | Outcome:
    """The mail's bytes, or what becomes of it without: refused with the reason; tried again where the fault is ours."""
    try:
        return write(message, content)
    except MailError as error:
        return refused(error.text)
    except Exception:
        structlog.get_logger("delivery").exception("mail not written", id=message.id)
        return Outcome(result="deferred", text="it could not be written: an error of ours")


def _written(request: bytearray) -> bytes:
    """Nothing at all where the records cannot be read: the worker then looks at them itself."""
    try:
        mails = _REQUEST.decode(request)
    except msgspec.DecodeError:
        mails = []
    return msgspec.msgpack.encode([write_or_refuse(message, content) for message, content in mails])


if __name__ == "__main__":
    run(_written)
