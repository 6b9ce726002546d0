"""From Settings to what the api role is made of, and the app that a process serves."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

import msgspec
from starlette.types import ASGIApp

from posthouse.app import Api, build_app, build_health
from posthouse.config import Settings
from posthouse.delivery.render import Renderer
from posthouse.delivery.worker import Worker
from posthouse.feedback.generic import GenericHook
from posthouse.mail.errors import StoreAway
from posthouse.metrics.meters import Meters
from posthouse.metrics.watch import accept_times, watch_routes
from posthouse.queue.base import Queue
from posthouse.roles.bulk import open_bulk
from posthouse.roles.links import Linking
from posthouse.roles.opened import opened_reads
from posthouse.roles.templates import open_pin, open_shelf
from posthouse.roles.work import new_id, owner, retry_policy, rules
from posthouse.store.base import Reads, Store
from posthouse.store.catalog import Catalog
from posthouse.store.registry import (
    is_embedded,
)
from posthouse.submission.accept import Accept
from posthouse.submission.auth import MASTER, Keyring, make_key
from posthouse.submission.bulk.create import Bulk
from posthouse.submission.endpoint import Gate
from posthouse.submission.health import Ready
from posthouse.submission.hints import Hints
from posthouse.submission.jwks import Jwks
from posthouse.submission.metrics import NOT_WATCHED, Watching
from posthouse.submission.ratelimit import Limiter, Rate, RateLimiter, SharedLimiter
from posthouse.submission.reject import AcceptQueued
from posthouse.submission.times import wall_clock
from posthouse.submission.tokens import Tokens
from posthouse.suppressed import SuppressionList

Told = Callable[[str], None]
"""Gets the lines that a person at the terminal is to see."""


async def serve_app(
    settings: Settings,
    roles: tuple[str, ...],
    store: Store,
    record: Store,
    catalog: Catalog,
    suppressed: SuppressionList,
    linking: Linking,
    queue: Queue,
    watching: Watching,
    stopping: asyncio.Event,
    stack: contextlib.AsyncExitStack,
    tell: Told,
) -> ASGIApp:
    """`record` is the store without those who watch it."""
    missing = readiness(store, stopping)
    if "api" in roles:
        await first_key(settings, catalog, tell)
    reads = await stack.enter_async_context(opened_reads(settings, store)) if "api" in roles else store
    bulk = open_bulk(settings, record, catalog, queue, stopping)
    renderer = Renderer(None, linking.links)
    stack.callback(renderer.stop)
    api = open_api(
        settings, store, record, catalog, suppressed, linking, queue, renderer, missing, watching, reads, bulk
    )
    await api.gate.keys.start()
    stack.push_async_callback(api.gate.keys.stop)
    stack.push_async_callback(api.accept.drain)
    if bulk is not None:
        stack.push_async_callback(bulk.announcements.drain)
    return build_app(api) if "api" in roles else build_health(missing, api.gate, watching)


def open_api(
    settings: Settings,
    store: Store,
    record: Store,
    catalog: Catalog,
    suppressed: SuppressionList,
    linking: Linking,
    queue: Queue,
    renderer: Renderer,
    ready: Ready,
    watching: Watching = NOT_WATCHED,
    reads: Reads | None = None,
    bulk: Bulk | None = None,
    by: str = MASTER,
) -> Api:
    """What the api role is made of, its keys not yet read; `by` is what the trail calls whoever has POSTHOUSE_API_KEY.
    Whoever gives the `renderer` stops it."""
    hints = Hints(queue)
    accept = _accept(settings, store, suppressed, hints, watching)
    allowed = rules(settings)
    return Api(
        store=store,
        catalog=catalog,
        accept=accept,
        hint=hints.tell,
        gate=Gate(keyring(settings, catalog, by), _limiter(settings, store), settings.max_body),
        rules=msgspec.structs.replace(allowed, find=allowed.find or _in_no_folder),
        ready=ready,
        now=wall_clock,
        watching=watching,
        policy=retry_policy(settings),
        expire=settings.expire,
        send_reply=settings.send_reply,
        hooks=[GenericHook((settings.webhook_secret or "").split())],
        reads=reads,
        bulk=bulk,
        contacts=catalog,
        shelf=open_shelf(settings, record, catalog, accept, renderer),
        pin=open_pin(settings, catalog),
        suppressed=suppressed,
        link_keys=linking.keys,
    )


def _in_no_folder(id: str) -> None:
    """Where no folder is given there is nothing in it."""


def _accept(
    settings: Settings, store: Store, suppressed: SuppressionList, hints: Hints, watching: Watching
) -> Accept:
    if settings.on_queue_failure == "reject":
        return AcceptQueued(
            store,
            hints,
            new_id=new_id(),
            hostname=settings.hostname,
            expire=settings.expire,
            suppressed=suppressed,
            took=watching.took,
            owner=f"{owner()}+reject",
        )
    return Accept(
        store,
        hints.tell,
        new_id=new_id(),
        hostname=settings.hostname,
        expire=settings.expire,
        suppressed=suppressed,
        took=watching.took,
    )


def keyring(settings: Settings, catalog: Catalog, by: str = MASTER) -> Keyring:
    tokens = None
    if settings.jwks_url and settings.jwt_issuer and settings.jwt_audience:
        keys = Jwks(settings.jwks_url, time.monotonic)
        tokens = Tokens(keys, settings.jwt_issuer, settings.jwt_audience, wall_clock)
    return Keyring(catalog, settings.api_key, wall_clock, tokens=tokens, master_name=by)


def _limiter(settings: Settings, store: Store) -> Limiter | None:
    """An embedded store has one api process as a rule; others are shared, and so is the count of requests."""
    if settings.rate_limit is None:
        return None
    quota, window = settings.rate_limit
    rate = Rate(quota, int(window))
    if is_embedded(settings.store):
        return RateLimiter(rate, time.monotonic)
    return SharedLimiter(
        rate, lambda name, wanted: store.lease_rate(f"api {name}", wanted, rate), time.monotonic
    )


async def first_key(settings: Settings, catalog: Catalog, tell: Told) -> None:
    """If no key exists at all, makes one with full access and shows it, once."""
    if settings.api_key is not None or await catalog.api_keys():
        return
    key, plain = make_key("first", ("admin",))
    await catalog.add_api_key(key)
    tell(f"There was no API key. This one has full access and is shown only now:\n  {plain}")


def readiness(store: Store, stopping: asyncio.Event) -> Ready:
    async def missing() -> Mapping[str, str]:
        if stopping.is_set():
            return {"process": "stopping"}
        try:
            await store.ping()
        except StoreAway as error:
            return {"store": str(error)}
        return {}

    return missing


def watching_of(meters: Meters, store: Store, queue: Queue, worker: Worker | None) -> Watching:
    """Loaded where it is needed: most commands serve nothing."""
    from prometheus_client import CollectorRegistry

    from posthouse.metrics.scrape import Scrape

    load = None if worker is None else worker.load
    scrape = Scrape(CollectorRegistry(), meters, store, queue, wall_clock, load)
    return Watching(scrape, watch_routes(meters), accept_times(meters))
