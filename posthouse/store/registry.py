"""The stores there are, by the scheme of their URL. A newcomer's store is one more entry here."""

from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qsl, quote, urlsplit

from posthouse.store.base import Reads, Store
from posthouse.store.catalog import Catalog
from posthouse.store.catalog.campaigns import Campaigns


def _sqlite(url: str, migrating: bool) -> Store:
    from posthouse.store.sqlite import SqliteStore

    return SqliteStore(sqlite_path(url), migrating=migrating)


def _postgres(url: str, migrating: bool) -> Store:
    try:
        from posthouse.store.postgres import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ValueError(
            "POSTHOUSE_STORE: PostgreSQL needs an extra: pip install posthouse[postgres]"
        ) from None
    return PostgresStore(url, migrating=migrating)


def _remote(url: str, migrating: bool) -> Store:
    try:
        from posthouse.store.remote import RemoteStore
    except ModuleNotFoundError as error:
        if error.name != "grpc":
            raise
        raise ValueError("POSTHOUSE_STORE: gRPC needs an extra: pip install posthouse[grpc]") from None
    return cast(Store, RemoteStore(url))


def _elasticsearch(url: str, migrating: bool) -> Store:
    try:
        from posthouse.store.elasticsearch import ElasticsearchStore
    except ModuleNotFoundError as error:
        if error.name not in ("elasticsearch", "elastic_transport", "aiohttp"):
            raise
        raise ValueError(
            "POSTHOUSE_STORE: Elasticsearch needs an extra: pip install posthouse[elasticsearch]"
        ) from None
    return ElasticsearchStore(url, migrating=migrating)


STORES: dict[str, Callable[[str, bool], Store]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
    "elasticsearch": _elasticsearch,
    "grpc": _remote,
}


_SQL = ("sqlite", "postgresql", "postgres")
_CATALOGS = (*_SQL, "grpc")
"""Stores that are a catalog too; a records role brings its own."""
SQLITE = "sqlite:///posthouse.db"
_REPLICATED = {"postgresql", "postgres"}


def open_store(url: str, *, migrating: bool) -> Store:
    """The store of a URL, not yet started; `migrating` lets it bring its own schema up to date at start."""
    scheme = urlsplit(url).scheme
    if scheme not in STORES:
        known = ", ".join(f"{name}:" for name in sorted(STORES))
        raise ValueError(f"POSTHOUSE_STORE: there is no store for {scheme or 'no scheme'}: (known: {known})")
    return STORES[scheme](url, migrating)


def open_replica(url: str, store_url: str, store: Store) -> Reads:
    """Reads from a replica of a store that has started, and of the store where that cannot be; not yet started."""
    if not {urlsplit(url).scheme, urlsplit(store_url).scheme} <= _REPLICATED:
        raise ValueError("POSTHOUSE_REPLICA: must be postgresql://…, and so must POSTHOUSE_STORE then")
    from posthouse.store.postgres.replica import Replica

    return Replica(url, store, store.identity)


def with_key(url: str, key: str | None) -> str:
    """The URL of a store, with that API key where it needs one and names none."""
    parts = urlsplit(url)
    if key is None or parts.scheme != "grpc" or "key" in dict(parse_qsl(parts.query)):
        return url
    return f"{url}{'&' if parts.query else '?'}key={quote(key, safe='')}"


def is_embedded(url: str) -> bool:
    """Whether the store lives in our own process, and so brings its schema up to date by itself."""
    return urlsplit(url).scheme == "sqlite"


def catalog_url(store: str, given: str | None) -> str | None:
    """Where the catalog is, if not in the store: as it is given, or in SQLite where the store keeps none."""
    if given is None:
        return None if urlsplit(store).scheme in _CATALOGS else SQLITE
    if urlsplit(given).scheme not in _SQL:
        raise ValueError("POSTHOUSE_CATALOG: must be sqlite:///… or postgresql://…")
    return None if given == store else given


def as_catalog(store: Store) -> Catalog:
    """A store that is its own catalog, or brings one: SQL, and gRPC."""
    return cast(Catalog, store)


def as_campaigns(store: Store) -> Campaigns | None:
    """A store that keeps campaigns with its mail: SQL."""
    return store if isinstance(store, Campaigns) else None


def sqlite_path(url: str) -> str:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise ValueError(
            "POSTHOUSE_STORE: a SQLite store is written sqlite:///file.db or sqlite:////absolute/file.db"
        )
    return path
