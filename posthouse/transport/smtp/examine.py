"""What can be said of a relay by connecting to it as if there were mail: name, greeting, TLS, login. Nothing is sent."""

import asyncio
import ssl
import time

from posthouse.check import Check
from posthouse.mail.errors import TransportAway
from posthouse.transport.smtp.dial import Link, TlsFailed, dial
from posthouse.transport.smtp.options import SmtpOptions, Timeouts
from posthouse.transport.smtp.resolver import Resolver

QUICK = Timeouts(connect=10.0, tls=10.0, greeting=20.0, hello=10.0)
"""Seconds that a person waits for each step."""
DAYS = 14
"""Days before the end of a certificate from which on that is told."""

UNSIGNED = (
    "mail goes out unsigned: DKIM is up to this relay, for the sender's domain. Gmail and Yahoo want it, and one-click"
    " unsubscribe counts under a signature only (RFC 8058 §4)"
)
LOGIN = (454, 530, 534, 535, 538)
"""Replies that mean the credentials."""


async def examine(
    options: SmtpOptions, resolver: Resolver, hostname: str, context: ssl.SSLContext | None
) -> list[Check]:
    """The steps of a handshake, each a line; the first that fails is the last."""
    part = f"transport {options.name}"
    resolved = await _resolve(part, options, resolver)
    if resolved.verdict == "fail":
        return [resolved]
    try:
        link = await dial(options, resolver, hostname, QUICK, context)
    except TransportAway as error:
        return [resolved, Check(part, "fail", error.text, _advice(error, options))]
    try:
        steps = [_greeted(part, link), _encrypted(part, link, options), _login(part, options)]
        return [resolved, *steps, Check(part, "ok", UNSIGNED)]
    finally:
        link.quit()


async def _resolve(part: str, options: SmtpOptions, resolver: Resolver) -> Check:
    try:
        async with asyncio.timeout(QUICK.connect):
            addresses = await resolver.addresses()
    except (OSError, UnicodeError, TimeoutError) as error:
        why = getattr(error, "strerror", None) or "no answer in time"
        return Check(
            part, "fail", f"the name {options.host} is not found: {why}", "check the host, and the DNS"
        )
    return Check(part, "ok", f"{options.host} is {', '.join(sorted(addresses))}")


def _greeted(part: str, link: Link) -> Check:
    offer = link.offer
    extensions = {"PIPELINING": offer.pipelining, "8BITMIME": offer.eight_bit, "SMTPUTF8": offer.utf8}
    offered = [name for name, there in extensions.items() if there] or ["no extension that we use"]
    size = f", mails up to {offer.size / 1e6:.0f} MB" if offer.size else ""
    return Check(part, "ok", f"it greets and offers {', '.join(offered)}{size}")


def _encrypted(part: str, link: Link, options: SmtpOptions) -> Check:
    tls: ssl.SSLObject | None = link.transport.get_extra_info("ssl_object")
    if tls is None:
        asked = "tls=none" if options.tls == "none" else "it offers no TLS"
        advice = (
            "credentials and mail can be read on the way" if options.user else "mail can be read on the way"
        )
        return Check(part, "warn", f"the link is not encrypted: {asked}", advice)
    certificate = tls.getpeercert()
    if not certificate:
        found = f"{tls.version()}, the certificate is not verified (tls=opportunistic)"
        return Check(part, "ok", found)
    return _valid(part, f"{tls.version()}, the certificate is good", str(certificate["notAfter"]))


def _valid(part: str, found: str, ends: str) -> Check:
    days = int((ssl.cert_time_to_seconds(ends) - time.time()) // 86_400)
    found = f"{found} for {days} more days"
    if days >= DAYS:
        return Check(part, "ok", found)
    return Check(
        part, "warn", found, "have the server's certificate renewed: no mail leaves once it has ended"
    )


def _login(part: str, options: SmtpOptions) -> Check:
    return Check(part, "ok", "it takes our credentials" if options.user else "it asks for no login")


def _advice(error: TransportAway, options: SmtpOptions) -> str:
    if isinstance(error, TlsFailed):
        return (
            f"the certificate has to be valid for {options.host} and signed by someone in this system's store; "
            "SSL_CERT_FILE names another store"
        )
    if error.code in LOGIN:
        return "check user and password in POSTHOUSE_TRANSPORT (percent-encoded)"
    return "check host, port and tls in POSTHOUSE_TRANSPORT, and the firewalls on the way; many networks block port 25"
