"""Mail over SMTP to a relay: options, handshake, session (both without I/O), connection, pool."""

import ssl

from posthouse.transport.smtp.options import Limits, SmtpOptions, Timeouts, read_options
from posthouse.transport.smtp.pool import SmtpTransport

__all__ = ["Limits", "SmtpOptions", "SmtpTransport", "Timeouts", "open_smtp", "read_options"]


def open_smtp(
    url: str,
    hostname: str,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    context: ssl.SSLContext | None = None,
) -> SmtpTransport:
    """The transport of an smtp:// URL. `hostname` is what we call ourselves in EHLO. ValueError for a bad URL."""
    return SmtpTransport(read_options(url), hostname, timeouts, limits, context)
