"""Composition root: from Settings to a running process with the roles api, worker and records.

Everything long-running starts and stops the same way: `start`, `stop`, in order and in the reverse order. A stop drains:
not ready first, then no new requests, then no new claims, then what is in the air, then the store.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable

import structlog

from posthouse.config import Settings
from posthouse.metrics.meters import Meters
from posthouse.metrics.watch import attempt_times, watch_store
from posthouse.roles.api import Told, serve_app, watching_of
from posthouse.roles.campaigns import check_audience, finder, open_campaigns
from posthouse.roles.faults import NONE, Faults
from posthouse.roles.links import DEFAULT_PORT, open_links
from posthouse.roles.opened import PATIENCE, local_catalog, named, opened_catalog, opened_store
from posthouse.roles.records import keep_records, serve_records
from posthouse.roles.templates import open_pin
from posthouse.roles.work import open_queue_of, open_transports_of, open_worker, rules
from posthouse.server import Server, listen_on, shown_host
from posthouse.store.base import Wakes
from posthouse.suppressed import SuppressionList

ROLES = ("api", "worker", "records")
LINGER = 0.04
"""The share of the grace in which clients that are connected may ask once more and are told to go: 1 s of 25."""


def all_roles(settings: Settings) -> tuple[str, ...]:
    """What one process that does everything has; gRPC only if it is given a port, since it comes with an extra."""
    return ROLES if settings.grpc_port is not None else ROLES[:2]


async def run(
    settings: Settings,
    roles: tuple[str, ...],
    tell: Told,
    ready: Callable[[str], Awaitable[None]],
    migrating: bool,
    *,
    beside: bool = False,
    faults: Faults = NONE,
) -> None:
    """Runs the roles until SIGTERM or Ctrl-C, then drains. `ready` gets the address (or "") once all of it stands;
    `beside` lets it listen where another process still does."""
    rules(settings)  # what is wrong with them is said before anything starts
    _say_catalog(settings)
    await check_audience(settings)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        port = settings.port if settings.port is not None or "api" not in roles else DEFAULT_PORT
        listener = None if port is None else listen_on(settings.host, port, beside=beside)
        record = faults.store(
            await stack.enter_async_context(opened_store(settings, migrating=migrating, patience=PATIENCE))
        )
        catalog = await stack.enter_async_context(opened_catalog(settings, record))
        suppressed = SuppressionList(catalog)
        await suppressed.start()
        stack.push_async_callback(suppressed.stop)
        at = listener.getsockname()[1] if listener is not None and "api" in roles else None
        linking = await open_links(settings, catalog, at)
        meters = Meters()
        store = watch_store(record, meters)
        with named():
            listen = record.listen if isinstance(record, Wakes) else None
            pin = open_pin(settings, catalog)
            queue = faults.queue(open_queue_of(settings, store, suppressed, listen, pin))
            await queue.start()
        stack.push_async_callback(queue.stop)
        worker = None
        if "worker" in roles:
            bulk = open_campaigns(settings, record, store)
            times, find = attempt_times(meters), finder(catalog)
            ways_out = [faults.transport(each) for each in open_transports_of(settings, store)]
            worker = open_worker(
                settings, store, suppressed, linking.links, queue, ways_out, times, bulk, find
            )
            await worker.start()
            stack.push_async_callback(worker.stop)
        address = ""
        if "records" in roles:
            address = await serve_records(
                settings, roles, store, catalog, suppressed, queue, meters, stopping, stack, tell, beside
            )
            await keep_records(settings, store, queue, stack)
        if listener is not None:
            watching = watching_of(meters, store, queue, worker)
            app = await serve_app(
                settings,
                roles,
                store,
                record,
                catalog,
                suppressed,
                linking,
                queue,
                watching,
                stopping,
                stack,
                tell,
            )
            server = Server(app, listener, settings.grace * LINGER)
            await server.start()
            stack.push_async_callback(server.stop)
            address = f"http://{shown_host(settings.host)}:{listener.getsockname()[1]}"
        _settle_memory()
        await ready(address)
        await stopping.wait()
        structlog.get_logger("posthouse").info("stopping", grace=settings.grace)


def _say_catalog(settings: Settings) -> None:
    catalog = local_catalog(settings)
    if catalog is not None:
        structlog.get_logger("posthouse").warning(
            "the catalog serves this machine only",
            catalog=catalog,
            on_several="POSTHOUSE_CATALOG=postgresql://…",
        )


def _settle_memory() -> None:
    """What is loaded now stays for good, so the garbage collector need not look at it again and again: with its
    usual thresholds it took a fifth of the time of an accept."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
