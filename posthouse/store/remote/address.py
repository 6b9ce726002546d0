"""What a `grpc://` URL says: `grpc://host:port?key=KEY&tls=none|verified&ca=FILE&cert=FILE&cert_key=FILE`."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec

DEFAULT_PORT = 50051
OPTIONS = ("key", "tls", "ca", "cert", "cert_key")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the records role listens, the API key for it, and how it is reached. With `tls`: `ca` are the authorities
    to believe (PEM; the system's if None), `cert` and `cert_key` say who we are (mutual TLS)."""

    target: str
    key: str
    tls: bool = False
    ca: bytes | None = None
    cert: bytes | None = None
    cert_key: bytes | None = None


def parse(url: str, name: str = "POSTHOUSE_STORE") -> Address:
    """Raises ValueError, which says what is wrong with what has this name, and shows nothing secret."""
    try:
        return _read(url)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _read(url: str) -> Address:
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None or parts.path not in ("", "/"):
        raise ValueError("is written grpc://host:port?key=KEY")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"grpc:// has no such option (known: {', '.join(OPTIONS)})")
    if not options.get("key"):
        raise ValueError("needs an API key: ?key=KEY, or POSTHOUSE_API_KEY (scope admin) where it is a store")
    tls = _tls(options)
    files = {name: _file(name, options) for name in ("ca", "cert", "cert_key")}
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(target=f"{host}:{_port(url)}", key=options["key"], tls=tls, **files)


def _port(url: str) -> int:
    try:
        return urlsplit(url).port or DEFAULT_PORT
    except ValueError:
        raise ValueError("has no port from 1 to 65535") from None


def _tls(options: dict[str, str]) -> bool:
    said = options.get("tls", "verified" if "ca" in options or "cert" in options else "none")
    if said not in ("none", "verified"):
        raise ValueError("tls must be none or verified")
    if ("cert" in options) != ("cert_key" in options):
        raise ValueError("cert and cert_key go together")
    return said == "verified"


def _file(name: str, options: dict[str, str]) -> bytes | None:
    if name not in options:
        return None
    try:
        return Path(options[name]).read_bytes()
    except OSError as error:
        raise ValueError(f"the file of {name} cannot be read: {error.strerror}") from None
