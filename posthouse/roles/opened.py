"""The store of the settings and what goes with it, started, and stopped at the end."""

import contextlib
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import msgspec

from posthouse.config import BadSettings, Settings
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


@contextlib.contextmanager
def named() -> Generator[None]:
    """A URL that a registry cannot read is a bad setting, and said as one."""
    try:
        yield
    except ValueError as error:
        raise BadSettings([str(error)]) from None


@contextlib.asynccontextmanager
async def opened_store(settings: Settings, *, migrating: bool | None = None) -> AsyncGenerator[Store]:
    """The store of the settings, started; stopped at the end. An embedded store brings itself up to date, another one
    only if it is told to (`migrating`)."""
    if migrating is None:
        migrating = is_embedded(settings.store)
    with named():
        store = open_store(with_key(settings.store, settings.api_key), migrating=migrating)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


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
