"""Composition root: from Settings to a running process with the roles api and worker.

Everything long-running starts and stops the same way: `start`, `stop`, in order and in the reverse order. A stop drains:
not ready first, then no new requests, then no new claims, then what is in the air, then the store.
"""

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from pathlib import Path

import structlog
from starlette.types import ASGIApp

from posthouse.app import Api, Ready, build_app, build_health
from posthouse.config import BadSettings, Settings
from posthouse.delivery.worker import Worker, WorkerOptions
from posthouse.mail.address import parse_mailbox
from posthouse.mail.errors import BadAddress, StoreAway
from posthouse.mail.identity import id_maker
from posthouse.mail.retry import Policy
from posthouse.queue.base import Queue
from posthouse.queue.registry import open_queue
from posthouse.server import Server, listen
from posthouse.store.base import Catalog, Store
from posthouse.store.registry import open_catalog, open_store
from posthouse.submission.accept import Accept
from posthouse.submission.auth import Keyring, make_key
from posthouse.submission.compose import Rules
from posthouse.submission.endpoint import Gate
from posthouse.submission.hints import Hints
from posthouse.submission.ratelimit import Rate, RateLimiter
from posthouse.submission.times import wall_clock
from posthouse.transport.registry import Surroundings, open_transports

ROLES = ("api", "worker")
DEFAULT_PORT = 8025

Told = Callable[[str], None]
"""Gets the lines that a person at the terminal is to see."""


@contextlib.asynccontextmanager
async def opened_store(settings: Settings, *, migrating: bool = True) -> AsyncGenerator[Store]:
    """The store of the settings, started; stopped at the end. An embedded store brings itself up to date."""
    with _named():
        store = open_store(settings.store, migrating=migrating)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def run(
    settings: Settings,
    roles: tuple[str, ...],
    tell: Told,
    ready: Callable[[str], Awaitable[None]],
    migrating: bool,
) -> None:
    """Runs the roles until SIGTERM or Ctrl-C, then drains. `ready` gets the address (or "") once all of it stands."""
    rules(settings)  # what is wrong with them is said before anything starts
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        port = settings.port if settings.port is not None or "api" not in roles else DEFAULT_PORT
        listener = None if port is None else listen(settings.host, port)
        store = await stack.enter_async_context(opened_store(settings, migrating=migrating))
        with _named():
            queue = open_queue(settings.queue, store.next_due)
        await queue.start()
        stack.push_async_callback(queue.stop)
        if "worker" in roles:
            worker = open_worker(settings, store, queue)
            await worker.start()
            stack.push_async_callback(worker.stop)
        app = await _app(settings, roles, store, queue, stopping, stack, tell)
        address = ""
        if listener is not None:
            server = Server(app, listener)
            await server.start()
            stack.push_async_callback(server.stop)
            address = f"http://{_shown(settings.host)}:{listener.getsockname()[1]}"
        _settle_memory()
        await ready(address)
        await stopping.wait()
        structlog.get_logger("posthouse").info("stopping", grace=settings.grace)


def open_worker(settings: Settings, store: Store, queue: Queue) -> Worker:
    """The worker of these settings, not yet started."""
    around = Surroundings(settings.hostname, settings.state_dir, settings.concurrency)
    policy = Policy(
        attempts=settings.attempts,
        backoff=settings.backoff,
        outage=settings.outage,
        on_unknown=settings.on_unknown,
    )
    options = WorkerOptions(
        owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        state_dir=settings.state_dir,
        lease=settings.lease,
        grace=settings.grace,
        return_path=settings.return_path,
    )
    with _named():
        transports = open_transports(settings.transport, around)
    return Worker(store, queue, transports, policy, options)


async def _app(
    settings: Settings,
    roles: tuple[str, ...],
    store: Store,
    queue: Queue,
    stopping: asyncio.Event,
    stack: contextlib.AsyncExitStack,
    tell: Told,
) -> ASGIApp:
    async def missing() -> Mapping[str, str]:
        if stopping.is_set():
            return {"process": "stopping"}
        try:
            await store.ping()
        except StoreAway as error:
            return {"store": str(error)}
        return {}

    if "api" not in roles:
        return build_health(missing)
    catalog = open_catalog(settings.store, store)
    await first_key(settings, catalog, tell)
    api = open_api(settings, store, catalog, queue, missing)
    await api.gate.keys.start()
    stack.push_async_callback(api.gate.keys.stop)
    stack.push_async_callback(api.accept.drain)
    return build_app(api)


def open_api(settings: Settings, store: Store, catalog: Catalog, queue: Queue, ready: Ready) -> Api:
    """What the api role is made of, its keys not yet read."""
    hints = Hints(queue)
    new_id = id_maker(lambda: wall_clock() // 1000, secrets.randbits)
    accept = Accept(store, hints.tell, new_id=new_id, hostname=settings.hostname, expire=settings.expire)
    limiter = None
    if settings.rate_limit is not None:
        quota, window = settings.rate_limit
        limiter = RateLimiter(Rate(quota, int(window)), time.monotonic)
    return Api(
        store=store,
        accept=accept,
        hint=hints.tell,
        gate=Gate(Keyring(catalog, settings.api_key, wall_clock), limiter, settings.max_body),
        rules=rules(settings),
        ready=ready,
        now=wall_clock,
        expire=settings.expire,
        send_reply=settings.send_reply,
    )


def rules(settings: Settings) -> Rules:
    """What a mail must keep to."""
    try:
        sender = parse_mailbox(settings.from_)
    except BadAddress as error:
        raise BadSettings([f"POSTHOUSE_FROM: {error.text}"]) from None
    return Rules(sender=sender, domains=frozenset(settings.from_domains), max_text=settings.max_text)


@contextlib.contextmanager
def _named() -> Generator[None]:
    """A URL that a registry cannot read is a bad setting, and said as one."""
    try:
        yield
    except ValueError as error:
        raise BadSettings([str(error)]) from None


async def first_key(settings: Settings, catalog: Catalog, tell: Told) -> None:
    """If no key exists at all, makes one with full access and shows it, once."""
    if settings.api_key is not None or await catalog.api_keys():
        return
    key, plain = make_key("first", ("admin",))
    await catalog.add_api_key(key)
    tell(f"There was no API key. This one has full access and is shown only now:\n  {plain}")


def _settle_memory() -> None:
    """What is loaded now stays for good, so the garbage collector need not look at it again and again: with its
    usual thresholds it took a fifth of the time of an accept."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def inbox_folder(settings: Settings) -> Path:
    """Where the transport `inbox:` keeps its mail."""
    return settings.state_dir / "inbox"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
