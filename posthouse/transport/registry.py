"""The transports there are, by the scheme of their URL. A newcomer's provider is one more entry here."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from posthouse.transport.base import Transport
from posthouse.transport.pace import Pacing, alone


class Surroundings(msgspec.Struct, frozen=True):
    """What a transport may need beside its URL: our name for EHLO, our folder, the transactions at once at most, and
    who grants starts where the URL names a rate."""

    hostname: str
    state_dir: Path
    concurrency: int | None = None
    pacing: Pacing = alone


def _inbox(url: str, around: Surroundings) -> Transport:
    from posthouse.transport.inbox import Inbox

    return Inbox(around.state_dir / "inbox")


def _smtp(url: str, around: Surroundings) -> Transport:
    from posthouse.transport.smtp import SmtpTransport, read_options

    options = read_options(url)
    if around.concurrency is not None:
        connections = min(options.connections, around.concurrency)
        options = msgspec.structs.replace(options, connections=connections)
    pace = around.pacing(options.rate, options.name) if options.rate else None
    return SmtpTransport(options, around.hostname, pace=pace)


def _ses(url: str, around: Surroundings) -> Transport:
    try:
        from posthouse.transport.ses import SesTransport, read_options
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "botocore":
            raise
        raise ValueError("SES needs an extra: pip install posthouse[ses]") from None
    options = read_options(url)
    if around.concurrency is not None:
        connections = min(options.connections, around.concurrency)
        options = msgspec.structs.replace(options, connections=connections)
    return SesTransport(options, around.pacing(options.rate, options.name) if options.rate else None)


TRANSPORTS: dict[str, Callable[[str, Surroundings], Transport]] = {
    "inbox": _inbox,
    "ses": _ses,
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
