"""The transports there are, by the scheme of their URL. A newcomer's provider is one more entry here."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from posthouse.transport.base import Transport


class Surroundings(msgspec.Struct, frozen=True):
    """What a transport may need beside its URL: our name for EHLO, our folder, and the transactions at once at most."""

    hostname: str
    state_dir: Path
    concurrency: int | None = None


def _inbox(url: str, around: Surroundings) -> Transport:
    from posthouse.transport.inbox import Inbox

    return Inbox(around.state_dir / "inbox")


def _smtp(url: str, around: Surroundings) -> Transport:
    from posthouse.transport.smtp import SmtpTransport, read_options

    options = read_options(url)
    if around.concurrency is not None:
        connections = min(options.connections, around.concurrency)
        options = msgspec.structs.replace(options, connections=connections)
    return SmtpTransport(options, around.hostname)


TRANSPORTS: dict[str, Callable[[str, Surroundings], Transport]] = {
    "inbox": _inbox,
    "smtp": _smtp,
    "smtps": _smtp,
}


def open_transports(urls: str, around: Surroundings) -> list[Transport]:
    """The transports of one setting, in order: several URLs separated by spaces."""
    return [_open(url, around) for url in urls.split()]


def _open(url: str, around: Surroundings) -> Transport:
    scheme = urlsplit(url).scheme
    if scheme not in TRANSPORTS:
        known = ", ".join(f"{name}:" for name in sorted(TRANSPORTS))
        raise ValueError(
            f"POSTHOUSE_TRANSPORT: there is no transport for {scheme or 'no scheme'}: (known: {known})"
        )
    try:
        return TRANSPORTS[scheme](url, around)
    except ValueError as error:
        raise ValueError(f"POSTHOUSE_TRANSPORT: {error}") from None
