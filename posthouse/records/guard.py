"""What stands before every call of the records role: the key and its scope, the deadline, and failures as statuses.

Rules: the answer comes within the caller's deadline: a store that hangs is UNAVAILABLE, and so it is after 5 seconds. Texts are
ours and repeat nothing of the request but names of fields. What nobody expected is logged, and INTERNAL.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from posthouse.batch import Full
from posthouse.mail.errors import StoreAway
from posthouse.store.base import StoreUnfit, UnknownCursor
from posthouse.submission.accept import STORE_SECONDS, StillRunning
from posthouse.submission.auth import Keyring, KeyScope
from posthouse.submission.problems import Kind, Problem

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
else:  # at run time it takes no parameters
    Context = grpc.aio.ServicerContext

Request = TypeVar("Request")
Reply = TypeVar("Reply")

IN_TIME = 0.9
"""The part of a deadline after which a store that has not answered is away: the rest is for the way back."""
DETAILS = "grpc-status-details-bin"
AWAY = "The record store does not answer right now. Repeat a save with the same event_id."

_KINDS: dict[Kind, grpc.StatusCode] = {
    "unauthorized": grpc.StatusCode.UNAUTHENTICATED,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}


class Refused(Exception):
    """Ends a call with a status. `fields` are those that are wrong, each with what is wrong with it."""

    def __init__(self, code: grpc.StatusCode, text: str, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.code, self.text, self.fields = code, text, fields


def wrong_fields(fields: Sequence[tuple[str, str]]) -> Refused:
    """INVALID_ARGUMENT, naming all of them."""
    text = "; ".join(f"{name}: {detail}" for name, detail in fields)
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, text, fields)


class Guard(grpc.aio.ServerInterceptor):
    """Lets those through who have a key of `keys` with the scope that a method needs; a method without one is open.
    It asks before anything of the message is read, which may be large."""

    def __init__(self, keys: Keyring, scopes: Mapping[str, KeyScope]) -> None:
        self._keys, self._scopes = keys, scopes

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        scope = self._scopes.get(handler_call_details.method)
        try:
            if scope is not None:
                await self._keys.identify(_headers(handler_call_details.invocation_metadata), scope)
        except Exception as error:
            return _refusing(as_refused(error))
        return await continuation(handler_call_details)


def _refusing(refused: Refused) -> Any:
    """What answers a call that is not let through: a stream, since that is not read."""

    async def refuse(_: Any, context: Context) -> None:
        await abort(context, refused)

    return cast(Any, grpc.stream_stream_rpc_method_handler(cast(Any, refuse)))


def unary(
    handler: Callable[[Request], Awaitable[Reply]], patience: float = STORE_SECONDS
) -> Callable[[Request, Context], Awaitable[Reply]]:
    """A call with one request and one reply, which takes `patience` seconds at most."""

    async def handle(request: Request, context: Context) -> Reply:
        try:
            async with asyncio.timeout(_seconds(context, patience)):
                return await handler(request)
        except Exception as error:
            refused = as_refused(error)
        await abort(context, refused)
        raise refused

    return handle


def stream(
    handler: Callable[[Any], AsyncIterator[bytes]],
) -> Callable[[Any, Context], AsyncIterator[bytes]]:
    """A call that goes on answering until the caller has enough."""

    async def handle(request: Any, context: Context) -> AsyncIterator[bytes]:
        try:
            async for reply in handler(request):
                yield reply
            return
        except Exception as error:
            refused = as_refused(error)
        await abort(context, refused)

    return handle


def as_refused(error: Exception) -> Refused:
    """The status that a failure is told as."""
    match error:
        case Refused():
            return error
        case Problem():
            return Refused(_KINDS.get(error.kind, grpc.StatusCode.INVALID_ARGUMENT), error.detail)
        case StoreAway() | TimeoutError():
            return Refused(grpc.StatusCode.UNAVAILABLE, AWAY)
        case Full():
            return Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too much waits to be saved. Repeat it later.")
        case StillRunning():
            return Refused(
                grpc.StatusCode.UNAVAILABLE, "A save with this event_id is still running. Repeat it."
            )
        case UnknownCursor():
            return Refused(grpc.StatusCode.OUT_OF_RANGE, "The cursor names no document.")
        case StoreUnfit():
            return Refused(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        case _:
            structlog.get_logger("records").error("call failed", exc_info=error)
            return Refused(grpc.StatusCode.INTERNAL, "Something went wrong on our side. It was logged.")


async def abort(context: Context, refused: Refused) -> None:
    """Ends the call; wrong fields go along as google.rpc.BadRequest (AIP-193)."""
    if not refused.fields:
        await context.abort(refused.code, refused.text)
    violations = [
        BadRequest.FieldViolation(field=name, description=detail) for name, detail in refused.fields
    ]
    detail = AnyMessage()
    detail.Pack(BadRequest(field_violations=violations))
    number: int = refused.code.value[0]
    status = Status(code=number, message=refused.text, details=[detail])
    await context.abort(refused.code, refused.text, ((DETAILS, status.SerializeToString()),))


def _headers(metadata: Any) -> Mapping[bytes, bytes]:
    """Metadata as HTTP headers."""
    return {
        name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in metadata or ()
    }


def _seconds(context: Context, most: float) -> float:
    left = cast("float | None", context.time_remaining())  # as it is, not as it is typed
    return most if left is None else min(most, left * IN_TIME)
