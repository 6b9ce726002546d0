"""What an smtp:// URL says: where to, with which TLS, as whom, and how much at once.

A bad URL is a ValueError whose text names what is wrong and never shows the password.
"""

import re
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from posthouse.transport.pace import read_rate

Tls = Literal["none", "opportunistic", "starttls", "implicit"]
Auth = Literal["password", "xoauth2", "oauthbearer"]

OPTIONS = ("tls", "connections", "rate", "auth", "token_file")

CONNECTIONS = 10
MOST_CONNECTIONS = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that each step may take (RFC 5321 §4.5.3.2); `attempt` is what a whole transaction may take."""

    connect: float = 30.0
    tls: float = 60.0
    greeting: float = 300.0
    hello: float = 300.0
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    attempt: float = 3600.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a connection is kept: `messages` it carries, `idle` and `age` in seconds. `widen` is how many seconds
    the pool makes do with the connections it has after the server would not take one more."""

    messages: int = 1000
    idle: float = 30.0
    age: float = 600.0
    widen: float = 5.0


class SmtpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A relay. `user` and `password` are both set or both None, but that `token_file` may stand for the password;
    `auth` says what the password is (an access token, or not); `rate` is mails a second, None for no limit."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = None
    auth: Auth = "password"
    token_file: Path | None = None
    connections: int = CONNECTIONS
    rate: float | None = None

    @property
    def name(self) -> str:
        """The relay without secrets, as records and logs show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"smtp://{host}:{self.port}"

    def __repr__(self) -> str:
        return f"SmtpOptions({self.name}, tls={self.tls}, login={'yes' if self.user else 'no'})"


def read_options(url: str) -> SmtpOptions:
    """The options of `smtp://user:pass@host:port?tls=…&connections=…&rate=…&auth=…&token_file=…` (`smtps://` =
    implicit TLS)."""
    parts, port = _split(url)
    said = _query(parts.query)
    auth, token_file = _auth(said.get("auth"), said.get("token_file"))
    user, password = _credentials(parts, token_file)
    if auth != "password" and user is None:
        raise ValueError(f"auth={auth} wants a user in the SMTP URL")
    tls = _tls(said.get("tls"), parts.scheme, port, user)
    return SmtpOptions(
        host=_host(parts),
        port=port or _default_port(tls, user),
        tls=tls,
        user=user,
        password=password,
        auth=auth,
        token_file=token_file,
        connections=_connections(said.get("connections")),
        rate=None if (rate := said.get("rate")) is None else read_rate(rate),
    )


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "the SMTP URL has a bad host or port (percent-encode / ? # @ in the user and the password)"
        ) from None
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError("an SMTP URL begins with smtp:// or smtps://")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError(
            "an SMTP URL ends after host, port and query (percent-encode / ? # @ in the user and the password)"
        )
    if port == 0:
        raise ValueError("the SMTP URL has port 0")
    return parts, port


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host or _CONTROL.search(host) or " " in host:
        raise ValueError("the SMTP URL names no host")
    return host


def _query(query: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise ValueError(f"the SMTP URL has an unknown option {key!r}: it takes {', '.join(OPTIONS)}")
        if key in said:
            raise ValueError(f"the SMTP URL gives {key} twice")
        said[key] = value
    return said


def _auth(said: str | None, token_file: str | None) -> tuple[Auth, Path | None]:
    auth = next((auth for auth in get_args(Auth) if auth == (said or "password")), None)
    if auth is None:
        raise ValueError(f"auth={said!r} is not one of {', '.join(get_args(Auth))}")
    if token_file is None:
        return auth, None
    if auth == "password":
        raise ValueError("token_file goes with auth=xoauth2 or auth=oauthbearer")
    if not token_file or _CONTROL.search(token_file):
        raise ValueError("token_file names no file")
    return auth, Path(token_file)


def _credentials(parts: SplitResult, token_file: Path | None) -> tuple[str | None, str | None]:
    if parts.username is None and parts.password is None:
        return None, None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if token_file is not None and user and not _CONTROL.search(user):
        if password:
            raise ValueError("the SMTP URL has a password and a token_file: one of them is enough")
        return user, None
    if not user or not password:
        raise ValueError("the SMTP URL has a user without a password, or a password without a user")
    if _CONTROL.search(user + password):
        raise ValueError("the SMTP URL has a control character in the user or the password")
    return user, password


def _tls(said: str | None, scheme: str, port: int | None, user: str | None) -> Tls:
    if scheme == "smtps":
        if said not in (None, "implicit"):
            raise ValueError("smtps:// means tls=implicit; write smtp:// for another tls")
        return "implicit"
    if said is None:
        if port == 465:
            return "implicit"
        return "starttls" if user else "opportunistic"
    for tls in get_args(Tls):
        if said == tls:
            if user and tls == "opportunistic":
                raise ValueError(
                    "tls=opportunistic does not protect credentials: say starttls, implicit or none"
                )
            return tls
    raise ValueError(f"tls={said!r} is not one of {', '.join(get_args(Tls))}")


def _default_port(tls: Tls, user: str | None) -> int:
    if tls == "implicit":
        return 465
    return 587 if user else 25


def _connections(said: str | None) -> int:
    if said is None:
        return CONNECTIONS
    if not said.isascii() or not said.isdigit() or not 1 <= int(said) <= MOST_CONNECTIONS:
        raise ValueError(f"connections={said!r} is not a number from 1 to {MOST_CONNECTIONS}")
    return int(said)
