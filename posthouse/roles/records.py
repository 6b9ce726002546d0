"""The records role: the gRPC server, and what keeps records where the queue carries events."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from types import ModuleType

import structlog

from posthouse.config import BadSettings, Settings
from posthouse.delivery.heed import heed
from posthouse.delivery.republish import Republisher
from posthouse.metrics.meters import Meters
from posthouse.metrics.watch import accept_times
from posthouse.queue.base import Queue, Statuses
from posthouse.roles.api import Told, first_key, keyring, readiness
from posthouse.roles.opened import named
from posthouse.roles.templates import open_pin
from posthouse.roles.work import new_id, rules
from posthouse.server import PortTaken, listen_on, shown_host
from posthouse.store.base import Store
from posthouse.store.catalog import Catalog
from posthouse.submission.accept import Accept
from posthouse.submission.event import with_templates
from posthouse.submission.hints import Hints
from posthouse.submission.times import wall_clock
from posthouse.suppressed import SuppressionList

DEFAULT_GRPC_PORT = 50051


async def serve_records(
    settings: Settings,
    roles: tuple[str, ...],
    store: Store,
    catalog: Catalog,
    suppressed: SuppressionList,
    queue: Queue,
    meters: Meters,
    stopping: asyncio.Event,
    stack: contextlib.AsyncExitStack,
    tell: Told,
    beside: bool,
) -> str:
    """Starts the gRPC server of the records role; its address."""
    records = _records()
    with named():
        tls = records.read_tls(settings.grpc_tls_cert, settings.grpc_tls_key, settings.grpc_tls_ca)
    if "api" not in roles:
        await first_key(settings, catalog, tell)
    keys = keyring(settings, catalog)
    await keys.start()
    stack.push_async_callback(keys.stop)
    make_id, wake = new_id(), records.Wake(Hints(queue).tell, settings.queue)
    accept = Accept(
        store,
        wake.accepted,
        new_id=make_id,
        hostname=settings.hostname,
        expire=settings.expire,
        suppressed=suppressed,
        took=accept_times(meters),
    )
    stack.push_async_callback(accept.drain)
    emails = records.Emails(
        store=store,
        accept=accept,
        rules=with_templates(rules(settings)),
        now=wall_clock,
        new_id=make_id,
        pin=open_pin(settings, catalog),
    )
    port = DEFAULT_GRPC_PORT if settings.grpc_port is None else settings.grpc_port
    if not beside:
        listen_on(
            settings.host, port
        ).close()  # raises where somebody else listens: gRPC would share the port
    address, ready = f"{shown_host(settings.host)}:{port}", readiness(store, stopping)
    server = records.RecordsServer(address, keys, emails, catalog, wake, ready, tls)
    try:
        port = await server.start()
    except OSError as error:
        raise PortTaken(str(error)) from None
    stack.push_async_callback(server.stop)
    return f"grpc://{shown_host(settings.host)}:{port}"


async def keep_records(
    settings: Settings, store: Store, queue: Queue, stack: contextlib.AsyncExitStack
) -> None:
    """Where the queue carries events: hears what workers tell, and publishes again what nobody took."""
    if not isinstance(queue, Statuses):
        return
    republisher = Republisher(store, queue, settings.republish, wall_clock)
    for work in (partial(queue.hear, heed(store)), republisher.run):
        task = asyncio.create_task(_lasting(work))
        stack.push_async_callback(_ended, task)


async def _lasting(work: Callable[[], Awaitable[None]]) -> None:
    """A bug in one turn must not end it for ever."""
    while True:
        try:
            await work()
        except Exception:
            structlog.get_logger("posthouse").exception("records stumbled")
            await asyncio.sleep(1.0)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _records() -> ModuleType:
    """Loaded where it is needed: it comes with an extra."""
    try:
        from posthouse import records
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("grpc", "grpc_health", "grpc_reflection", "google"):
            raise
        raise BadSettings(["--roles records needs an extra: pip install posthouse[grpc]"]) from None
    return records
