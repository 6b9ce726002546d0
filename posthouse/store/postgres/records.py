"""Records in rows: packed as MessagePack (a fifth smaller than JSON), and what stands in columns beside them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from posthouse.mail.message import Message

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Message)


class Row(NamedTuple):
    """A record and its place in the order of creation."""

    seq: int
    message: Message


def pack(message: Message) -> bytes:
    """The record as it is kept."""
    return _ENCODER.encode(message)


def unpack(row: Any) -> Message:
    """The record of a row that has `record` and `created_at`: the column decides when it was created."""
    message = _DECODER.decode(row["record"])
    message.created_at = row["created_at"]
    return message


def rows(found: Sequence[Any]) -> list[Row]:
    """Rows that have `seq` too."""
    return [Row(row["seq"], unpack(row)) for row in found]
