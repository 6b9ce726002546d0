"""What an `elasticsearch://` URL says: where the server is, the name of the index, who we are, and whether TLS is spoken."""

import re
import ssl
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

_INDEX = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
"""Names that Elasticsearch takes, with room for what the other indices add."""
_PORT = 9200


class Address(msgspec.Struct, frozen=True):
    """`url` of the server without credentials, `index`, `login` (user, password) where the URL has one; `shown` is for
    people."""

    url: str
    index: str
    login: tuple[str, str] | None

    @property
    def shown(self) -> str:
        """Without user and password."""
        return f"{self.url.partition('://')[2]}/{self.index}"

    @property
    def options(self) -> dict[str, object]:
        """What the client is to be made with."""
        options: dict[str, object] = {} if self.login is None else {"basic_auth": self.login}
        if self.url.startswith("https:"):
            options["ssl_context"] = ssl.create_default_context()
        return options


def parse(url: str) -> Address:
    """Reads a URL; raises ValueError naming what is not understood."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls = options.pop("tls", "verify" if parts.username else "none")
    if tls not in ("none", "verify"):
        raise ValueError("POSTHOUSE_STORE: tls: must be none or verify")
    if options:
        raise ValueError(f"POSTHOUSE_STORE: {min(options)}: is not an option of an Elasticsearch store")
    index = parts.path.removeprefix("/")
    if not parts.hostname or not _INDEX.fullmatch(index):
        raise ValueError(
            "POSTHOUSE_STORE: an Elasticsearch store is written elasticsearch://host:9200/index, the index in lower case"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = "https" if tls == "verify" else "http"
    login = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return Address(f"{scheme}://{host}:{parts.port or _PORT}", index, login)
