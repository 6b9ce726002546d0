"""Errors that carry their verdict: temporary or not, a code, and a text that is safe to show.

`text` is written by us or cleaned by us (no control characters, no input echoed); it may be stored and shown.
"""


class MailError(Exception):
    """Something is wrong with a mail or with its way out. `temporary` says whether trying later can help."""

    temporary = False

    def __init__(self, text: str, *, code: int | None = None, enhanced: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.enhanced = enhanced


class BadAddress(MailError):
    """An address that cannot be mailed to. `text` says why without repeating it."""


class BadContent(MailError):
    """Content that cannot be written as a mail: a forbidden header, a control character, a bad attachment."""


class StoreAway(Exception):
    """The store does not answer. What was asked may have happened; nothing accepted is lost by it."""


class TransportAway(MailError):
    """No connection to the next hop: refused, timed out, no TLS, credentials not taken. Never the mail's fault."""

    temporary = True
