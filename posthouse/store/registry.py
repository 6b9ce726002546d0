"""The stores there are, by the scheme of their URL. A newcomer's store is one more entry here."""

from collections.abc import Callable
from urllib.parse import urlsplit

from posthouse.store.base import Catalog, Store


def _sqlite(url: str, migrating: bool) -> Store:
    from posthouse.store.sqlite import SqliteStore

    return SqliteStore(sqlite_path(url), migrating=migrating)


STORES: dict[str, Callable[[str, bool], Store]] = {"sqlite": _sqlite}


def open_store(url: str, *, migrating: bool) -> Store:
    """The store of a URL, not yet started; `migrating` lets it bring its own schema up to date at start."""
    scheme = urlsplit(url).scheme
    if scheme not in STORES:
        known = ", ".join(f"{name}:" for name in sorted(STORES))
        raise ValueError(f"POSTHOUSE_STORE: there is no store for {scheme or 'no scheme'}: (known: {known})")
    return STORES[scheme](url, migrating)


def is_embedded(url: str) -> bool:
    """Whether the store lives in our own process, and so brings its schema up to date by itself."""
    return urlsplit(url).scheme == "sqlite"


def open_catalog(url: str, store: Store) -> Catalog:
    """The catalog that goes with the store of `url`: a SQL store is its own."""
    from posthouse.store.sqlite import SqliteStore

    if isinstance(store, SqliteStore):
        return store
    raise ValueError(f"POSTHOUSE_STORE: {urlsplit(url).scheme}: keeps no catalog")


def sqlite_path(url: str) -> str:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise ValueError(
            "POSTHOUSE_STORE: a SQLite store is written sqlite:///file.db or sqlite:////absolute/file.db"
        )
    return path
