"""The process that writes mails as bytes for a worker: reads chunks of records with their content from a socket,
answers each chunk with its mails. It has nothing but mail/ in it, keeps nothing, and ends when the socket closes.
"""

import signal
import socket
import struct
import sys

import msgspec
import structlog

from posthouse.mail.errors import MailError
from posthouse.mail.message import Content, Message
from posthouse.mail.mime import write
from posthouse.mail.outcome import Outcome, refused

FRAME = struct.Struct("<I")
"""The length of what follows, in bytes."""

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


def serve(link: socket.socket) -> None:
    """Answers until the other side closes."""
    while (request := _read(link)) is not None:
        answer = msgspec.msgpack.encode(_written(request))
        link.sendall(FRAME.pack(len(answer)) + answer)


def _written(request: bytearray) -> list[bytes | Outcome]:
    """Nothing at all where the records cannot be read: the worker then looks at them itself."""
    try:
        mails = _REQUEST.decode(request)
    except msgspec.DecodeError:
        return []
    return [write_or_refuse(message, content) for message, content in mails]


def _read(link: socket.socket) -> bytearray | None:
    head = _exactly(link, FRAME.size)
    return None if head is None else _exactly(link, FRAME.unpack(head)[0])


def _exactly(link: socket.socket, size: int) -> bytearray | None:
    """So many bytes, or None where there will be no more."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        got = link.recv_into(view)
        if not got:
            return None
        view = view[got:]
    return data


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # the worker drains, and needs us meanwhile
        signal.signal(number, signal.SIG_IGN)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with socket.socket(fileno=int(sys.argv[1])) as link:
        serve(link)
