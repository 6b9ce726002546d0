"""posthouse.internal.v1.Store: the store port itself for our own processes (`grpc://`), for keys with the scope admin.

It speaks what store.wire makes of the port's signatures. A snapshot lives as long as its stream.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from msgspec.structs import asdict

from posthouse.records.guard import stream, unary
from posthouse.records.wake import Wake
from posthouse.store import wire
from posthouse.store.base import Store
from posthouse.store.catalog import Catalog
from posthouse.store.wire import Call
from posthouse.submission.auth import KeyScope


def internal_scopes() -> dict[str, KeyScope]:
    """The scope that each method needs."""
    methods = [call.method for call in wire.store_calls().values()]
    return {
        f"/{wire.SERVICE}/{each}": "admin" for each in (*methods, wire.IDENTITY, wire.SNAPSHOT, wire.LISTEN)
    }


def internal_service(store: Store, catalog: Catalog, wake: Wake) -> grpc.GenericRpcHandler:
    """The service."""
    handlers: dict[str, Any] = {}
    for call in wire.store_calls().values():
        target = catalog if hasattr(Catalog, call.name) else store
        answer = _saving(call, store, wake) if call.name == "save" else _asking(call, target)
        handlers[call.method] = grpc.unary_unary_rpc_method_handler(unary(answer))
    handlers[wire.IDENTITY] = grpc.unary_unary_rpc_method_handler(unary(_identity(store)))
    handlers[wire.SNAPSHOT] = grpc.stream_stream_rpc_method_handler(stream(_walking(store)))
    handlers[wire.LISTEN] = grpc.unary_stream_rpc_method_handler(stream(_listening(wake)))
    return grpc.method_handlers_generic_handler(wire.SERVICE, handlers)


def _asking(call: Call, target: object) -> Callable[[bytes], Awaitable[bytes]]:
    async def answer(request: bytes) -> bytes:
        return wire.write(await getattr(target, call.name)(**asdict(call.read_arguments(request))))

    return answer


def _saving(call: Call, store: Store, wake: Wake) -> Callable[[bytes], Awaitable[bytes]]:
    async def answer(request: bytes) -> bytes:
        results = await store.save(call.read_arguments(request).drafts)
        due = [each.message for each in results if each.created and each.message.scheduled_at is None]
        if due:
            wake.stored(due)
        return wire.write(results)

    return answer


def _identity(store: Store) -> Callable[[bytes], Awaitable[bytes]]:
    async def answer(_: bytes) -> bytes:
        return wire.write(store.identity)

    return answer


def _walking(store: Store) -> Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]:
    calls = {call.method: call for call in wire.snapshot_calls().values()}

    async def answer(questions: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async with store.snapshot() as snapshot:
            async for question in questions:
                asked = wire.read_asked(question)
                if not asked.method:
                    yield b""
                    continue
                call = calls[asked.method]
                ask = getattr(snapshot, call.name)
                yield wire.write(await ask(**asdict(call.read_arguments(asked.arguments))))

    return answer


def _listening(wake: Wake) -> Callable[[bytes], AsyncIterator[bytes]]:
    async def answer(_: bytes) -> AsyncIterator[bytes]:
        async for lane in wake.listen():
            yield wire.write(lane)

    return answer
