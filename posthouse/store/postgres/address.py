"""What a `postgresql://` URL says: where the server is, and the options that are ours to read."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

CONNECTIONS = 8
"""Connections of a process at most, unless the URL says otherwise."""

_KNOWN = """application_name dbname gsslib host krbsrvname options passfile password port search_path service
  servicefile ssl_max_protocol_version ssl_min_protocol_version sslcert sslcrl sslkey sslmode sslnegotiation sslpassword
  sslrootcert target_session_attrs user"""
"""Options that the driver reads, or that the server takes as settings."""


class Address(msgspec.Struct, frozen=True):
    """`dsn` for the driver; `shown` without user and password, for people; how many `connections` at most."""

    dsn: str
    shown: str
    connections: int


def parse(url: str, setting: str = "POSTHOUSE_STORE") -> Address:
    """Reads the URL of a setting; raises ValueError naming what is not understood."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    connections = options.pop("connections", str(CONNECTIONS))
    if not connections.isdecimal() or int(connections) < 2:
        raise ValueError(f"{setting}: connections: must be a number, 2 or more")
    if unknown := sorted(set(options) - set(_KNOWN.split())):
        raise ValueError(f"{setting}: {unknown[0]}: is not an option of a PostgreSQL store")
    options.setdefault("application_name", "posthouse")
    dsn = parts._replace(query=urlencode(options)).geturl()
    shown = parts.netloc.rpartition("@")[2] or options.get("host", "localhost")
    return Address(dsn, f"{shown}{parts.path}", int(connections))
