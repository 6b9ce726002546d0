"""The store of the settings and what goes with it, started, and stopped at the end."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import msgspec
import structlog

from posthouse.config import BadSettings, Settings
from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.errors import StoreAway
from posthouse.store.base import Reads, Store
from posthouse.store.catalog import Catalog
from posthouse.store.registry import (
    as_catalog,
    catalog_url,
    is_embedded,
    open_replica,
    open_store,
    with_key,
)

PATIENCE = 10.0
"""Seconds that a process which is to stay waits at its start for a store that is away."""
AGAIN = 0.25


@contextlib.contextmanager
def named() -> Generator[None]:
    """A URL that a registry cannot read is a bad setting, and said as one."""
    try:
        yield
    except ValueError as error:
        raise BadSettings([str(error)]) from None


@contextlib.asynccontextmanager
async def opened_store(
    settings: Settings, *, migrating: bool | None = None, patience: float = 0.0
) -> AsyncGenerator[Store]:
    """The store of the settings, started; stopped at the end. An embedded store brings itself up to date, another one
    only if it is told to (`migrating`). One that is away is waited for up to `patience` seconds."""
    if migrating is None:
        migrating = is_embedded(settings.store)
    store = await _started(settings, migrating, patience)
    try:
        yield store
    finally:
        await store.stop()


async def _started(settings: Settings, migrating: bool, patience: float) -> Store:
    """Services that are started together come up in any order: the first miss is told, the last one is raised."""
    ends = elapsed_clock() + patience
    told = False
    while True:
        with named():
            store = open_store(with_key(settings.store, settings.api_key), migrating=migrating)
        try:
            await store.start()
            return store
        except StoreAway as error:
            if elapsed_clock() > ends:
                raise
            if not told:
                structlog.get_logger("posthouse").warning(
                    "waiting for the store", why=str(error), seconds=patience
                )
            told = True
        await asyncio.sleep(AGAIN)


@contextlib.asynccontextmanager
async def opened_catalog(
    settings: Settings, store: Store, *, migrating: bool | None = None
) -> AsyncGenerator[Catalog]:
    """The catalog that goes with the store of the settings: the store itself, or another one, started and stopped."""
    with named():
        url = catalog_url(settings.store, settings.catalog)
    if url is None:
        yield as_catalog(store)
        return
    apart = msgspec.structs.replace(settings, store=url)
    async with opened_store(apart, migrating=migrating) as catalog:
        yield as_catalog(catalog)


def local_catalog(settings: Settings) -> str | None:
    """The catalog's URL where only this machine has it, beside a store that others may have too."""
    with named():
        url = catalog_url(settings.store, settings.catalog)
    return url if url is not None and is_embedded(url) and not is_embedded(settings.store) else None


@contextlib.asynccontextmanager
async def opened_reads(settings: Settings, store: Store) -> AsyncGenerator[Reads]:
    """What lists are read from: the store, or a replica of it, started and stopped."""
    if settings.replica is None:
        yield store
        return
    with named():
        replica = open_replica(settings.replica, settings.store, store)
    await replica.start()
    try:
        yield replica
    finally:
        await replica.stop()


def inbox_folder(settings: Settings) -> Path:
    """Where the transport `inbox:` keeps its mail."""
    return settings.state_dir / "inbox"
