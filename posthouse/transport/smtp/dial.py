"""Connects, secures and greets: what comes out is a link that takes mail, or TransportAway with the reason.

TLS is put on the link by us in every mode, so that the buffers of both layers are known. Where TLS is opportunistic
and its handshake fails, we connect again without it (RFC 7435).
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import cast

import msgspec

from posthouse.mail.errors import TransportAway
from posthouse.transport.smtp.handshake import Awaited, Handshake, Offer, Refused
from posthouse.transport.smtp.login import with_token
from posthouse.transport.smtp.options import SmtpOptions, Timeouts, Tls
from posthouse.transport.smtp.replies import Broken, clean
from posthouse.transport.smtp.resolver import Resolver


class Link(msgspec.Struct, frozen=True):
    """A connection that was greeted. `wire` is the TCP transport beneath `transport`; the same one without TLS."""

    transport: asyncio.Transport
    wire: asyncio.Transport
    offer: Offer

    def quit(self) -> None:
        """Says QUIT and closes, without waiting for the answer."""
        self.transport.write(b"QUIT\r\n")
        self.transport.close()


class TlsFailed(TransportAway):
    """The TLS handshake failed, or the certificate does not hold."""


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Verifies against the system's store (SSL_CERT_FILE is honoured); opportunistic TLS verifies nothing."""
    context = ssl.create_default_context()
    if tls == "opportunistic":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def dial(
    options: SmtpOptions,
    resolver: Resolver,
    hostname: str,
    timeouts: Timeouts,
    context: ssl.SSLContext | None,
) -> Link:
    """A greeted link. Raises TransportAway when the server cannot be used, for whatever reason."""
    options = with_token(options)
    try:
        return await _dial(options, resolver, hostname, timeouts, context)
    except TlsFailed:
        if options.tls != "opportunistic":
            raise
    return await _dial(msgspec.structs.replace(options, tls="none"), resolver, hostname, timeouts, None)


async def _dial(
    options: SmtpOptions,
    resolver: Resolver,
    hostname: str,
    timeouts: Timeouts,
    context: ssl.SSLContext | None,
) -> Link:
    handshake = Handshake(options, hostname, encrypted=options.tls == "implicit")
    greeter = Greeter(handshake, timeouts)
    wire = transport = await _connect(options, resolver, timeouts, greeter)
    try:
        if options.tls == "implicit":
            transport = await _encrypt(wire, greeter, options, timeouts, context)
        await greeter.pause()
        if handshake.awaits == "tls":
            transport = await _encrypt(wire, greeter, options, timeouts, context)
            handshake.secured()
            transport.write(handshake.take())
            await greeter.pause()
    except BaseException:
        transport.abort()
        raise
    return Link(transport, wire, handshake.offer)


async def _connect(
    options: SmtpOptions, resolver: Resolver, timeouts: Timeouts, greeter: "Greeter"
) -> asyncio.Transport:
    where = options.name.removeprefix("smtp://")
    doing = "the name is looked up"
    try:
        async with asyncio.timeout(timeouts.connect):
            addresses = await resolver.addresses()
            doing = "connecting"
            return await _to_the_first(addresses, options.port, greeter)
    except TimeoutError:
        raise TransportAway(f"no connection to {where} within {timeouts.connect:g} s ({doing})") from None
    except (OSError, UnicodeError) as error:
        raise TransportAway(f"no connection to {where}: {_reason(error)}") from error


async def _to_the_first(addresses: Sequence[str], port: int, greeter: "Greeter") -> asyncio.Transport:
    """A connection to the first of them that takes one; raises the last one's OSError."""
    error = OSError("the name has no address")
    for address in addresses:
        try:
            return (await asyncio.get_running_loop().create_connection(lambda: greeter, address, port))[0]
        except OSError as refused:
            error = refused
    raise error


async def _encrypt(
    wire: asyncio.Transport,
    greeter: "Greeter",
    options: SmtpOptions,
    timeouts: Timeouts,
    context: ssl.SSLContext | None,
) -> asyncio.Transport:
    try:
        transport = await asyncio.get_running_loop().start_tls(
            wire,
            greeter,
            context or tls_context(options.tls),
            server_hostname=options.host,
            ssl_handshake_timeout=timeouts.tls,
        )
    except (OSError, ValueError) as error:
        wire.abort()
        raise TlsFailed(f"TLS failed: {_reason(error)}") from error
    if transport is None:
        raise TlsFailed("TLS failed: the link was lost")
    greeter.connection_made(transport)
    return transport


def _reason(error: Exception) -> str:
    return clean(getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error))


class Greeter(asyncio.Protocol):
    """Carries bytes between a link and its handshake. Each awaited reply has its own time."""

    def __init__(self, handshake: Handshake, timeouts: Timeouts) -> None:
        self._handshake = handshake
        self._seconds: dict[Awaited, float] = {"greeting": timeouts.greeting, "starttls": timeouts.hello}
        self._others = timeouts.hello
        self._transport: asyncio.Transport | None = None
        self._error: TransportAway | None = None
        self._heard: asyncio.Future[None] | None = None

    async def pause(self) -> None:
        """Returns when the handshake is over, or is to go on under TLS; raises TransportAway."""
        while self._error is None and self._handshake.awaits not in ("tls", "nothing"):
            await self._reply(self._handshake.awaits)
        if self._error is not None:
            raise self._error

    async def _reply(self, awaited: Awaited) -> None:
        """Returns when nobody waits for this one any more. Bytes alone gain no time: it is the whole reply that is due."""
        seconds = self._seconds.get(awaited, self._others)
        try:
            async with asyncio.timeout(seconds):
                while self._error is None and self._handshake.awaits == awaited:
                    self._heard = asyncio.get_running_loop().create_future()
                    await self._heard
        except TimeoutError:
            raise TransportAway(f"no reply within {seconds:g} s (waiting for {awaited})") from None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: uvloop's transports are no asyncio.Transport by class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._handshake.receive(data)
        except Refused as refused:
            self._fail(TransportAway(str(refused), code=refused.code, enhanced=refused.enhanced))
        except Broken as broken:
            self._fail(TransportAway(str(broken)))
        out = self._handshake.take()
        if out and self._error is None and self._transport is not None:
            self._transport.write(out)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        why = f": {_reason(exc)}" if exc else ""
        self._fail(TransportAway(f"the link was lost before the session stood{why}"))
        self._wake()

    def _fail(self, error: TransportAway) -> None:
        self._error = self._error or error

    def _wake(self) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)
