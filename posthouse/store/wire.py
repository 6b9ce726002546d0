"""The store port as messages: what `grpc://` stores and the records role say to each other, as MessagePack.

Rules: the calls are those of the port itself; their names, arguments and results are read from its signatures, so a
call that the port gains is on the wire at once. Arguments and Structs go by name, so that a newer side may add to them.
A snapshot is a stream: it lives as long as that.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_type_hints

import msgspec

from posthouse.mail.message import Lane
from posthouse.store.base import Store
from posthouse.store.catalog import PARTS
from posthouse.store.snapshot import Snapshot

SERVICE = "posthouse.internal.v1.Store"
SNAPSHOT = "Snapshot"
LISTEN = "Listen"
IDENTITY = "Identity"

_OWN = frozenset(("start", "stop", "snapshot"))
"""Calls of the port that are not asked of the other side as they are."""


class Call(NamedTuple):
    """One call of the port: its `name` there and its `method` on the wire, its arguments as a Struct, its result."""

    name: str
    method: str
    arguments: type[msgspec.Struct]
    read_arguments: Callable[[bytes], Any]
    read_result: Callable[[bytes], Any]

    def write_arguments(self, *args: Any, **kwargs: Any) -> bytes:
        """The arguments of a call, as they are given to the port."""
        return write(self.arguments(*args, **kwargs))


class Asked(msgspec.Struct, frozen=True):
    """A question to a snapshot: a call's method and its arguments; no method asks whether the snapshot is there."""

    method: str = ""
    arguments: bytes = b""


write: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
read_asked: Callable[[bytes], Asked] = msgspec.msgpack.Decoder(Asked).decode
read_lane: Callable[[bytes], Lane] = msgspec.msgpack.Decoder(Lane).decode
read_text: Callable[[bytes], str] = msgspec.msgpack.Decoder(str).decode


def store_calls() -> dict[str, Call]:
    """The calls of Store and Catalog, by their names in the port."""
    return {call.name: call for port in (Store, *PARTS) for call in _calls(port)}


def snapshot_calls() -> dict[str, Call]:
    """The calls of Snapshot, by their names in the port."""
    return {call.name: call for call in _calls(Snapshot)}


def _calls(port: type) -> Iterator[Call]:
    for name, function in vars(port).items():
        if inspect.iscoroutinefunction(function) and name not in _OWN:
            yield _call(name, function)


def _call(name: str, function: Callable[..., Any]) -> Call:
    hints = get_type_hints(function)
    method = "".join(word.capitalize() for word in name.split("_"))
    arguments = msgspec.defstruct(method, [_field(each, hints) for each in _parameters(function)])
    return Call(
        name,
        method,
        arguments,
        msgspec.msgpack.Decoder(arguments).decode,
        msgspec.msgpack.Decoder(hints["return"]).decode,
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())[1:]


def _field(parameter: inspect.Parameter, hints: dict[str, Any]) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = hints[parameter.name]
    if parameter.default is inspect.Parameter.empty:
        return parameter.name, kind
    return parameter.name, kind, parameter.default
