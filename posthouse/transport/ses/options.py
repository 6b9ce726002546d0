"""What an ses:// URL says: which region, as whom, and how much at once.

A bad URL is a ValueError whose text names what is wrong and never shows the secret.
"""

import ipaddress
import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from posthouse.transport.pace import read_rate

OPTIONS = ("endpoint", "configuration_set", "connections", "rate")

CONNECTIONS = 10
MOST_CONNECTIONS = 1000
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_SET = re.compile(r"[A-Za-z0-9_-]{1,64}")


class SesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`key_id` and `secret` are both set, or both None: then botocore's chain finds the credentials. `rate` is mails a
    second, None for no limit."""

    region: str
    endpoint: str
    key_id: str | None = None
    secret: str | None = None
    configuration_set: str | None = None
    connections: int = CONNECTIONS
    rate: float | None = None

    @property
    def name(self) -> str:
        """The transport without secrets, as records and logs show it."""
        return f"ses://{self.region}"

    def __repr__(self) -> str:
        return f"SesOptions({self.name}, endpoint={self.endpoint})"


def read_options(url: str) -> SesOptions:
    """The options of `ses://key:secret@region?endpoint=…&configuration_set=…&connections=…&rate=…`."""
    parts = urlsplit(url)
    region = parts.hostname or ""
    if not _REGION.fullmatch(region) or parts.path not in ("", "/") or parts.fragment:
        raise ValueError(
            "an SES URL names a region, as ses://eu-west-1 (percent-encode / ? # @ + in key and secret)"
        )
    said = _query(parts.query)
    key_id, secret = _credentials(parts)
    rate = said.get("rate")
    return SesOptions(
        region=region,
        endpoint=_endpoint(said.get("endpoint"), region),
        key_id=key_id,
        secret=secret,
        configuration_set=_configuration_set(said.get("configuration_set")),
        connections=_connections(said.get("connections")),
        rate=None if rate is None else read_rate(rate),
    )


def _query(query: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise ValueError(f"the SES URL has an unknown option {key!r}: it takes {', '.join(OPTIONS)}")
        if key in said:
            raise ValueError(f"the SES URL gives {key} twice")
        said[key] = value
    return said


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    if parts.username is None and parts.password is None:
        return None, None
    key_id, secret = unquote(parts.username or ""), unquote(parts.password or "")
    if not key_id or not secret:
        raise ValueError("the SES URL has a key without a secret, or a secret without a key")
    return key_id, secret


def _endpoint(said: str | None, region: str) -> str:
    if said is None:
        return f"https://email.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    parts = urlsplit(said)
    safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if not safe or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("endpoint must be an https URL, or http on loopback")
    return said.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _configuration_set(said: str | None) -> str | None:
    if said is not None and not _SET.fullmatch(said):
        raise ValueError("configuration_set has 1 to 64 letters, digits, - and _")
    return said


def _connections(said: str | None) -> int:
    if said is None:
        return CONNECTIONS
    if not said.isascii() or not said.isdigit() or not 1 <= int(said) <= MOST_CONNECTIONS:
        raise ValueError(f"connections={said!r} is not a number from 1 to {MOST_CONNECTIONS}")
    return int(said)
