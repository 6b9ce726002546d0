"""The port of a provider's webhook: verify, then read, then say it in our words. A port has one file for each provider.

Rules: nothing is read before its signature holds, over the bytes as they came; a comparison takes the same time whatever
it is given; what is said again has the same key, so it counts once.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from posthouse.mail.notice import Notice


class BadSignature(Exception):
    """Not from whom it says, or too old. The text says which, and nothing of the secret."""


class Hook(Protocol):
    """How one provider tells. Header names are lower case."""

    name: str
    """The provider, as in the path /webhooks/{name} and in notices."""
    event: type[msgspec.Struct]
    """What the body is read into."""
    summary: str
    """For the reference: a line, then more; the headers that sign, with what each is; an event."""
    text: str
    headers: Mapping[str, str]
    example: Mapping[str, Any]

    def verify(self, headers: Mapping[bytes, bytes], body: bytes, now: int) -> str:
        """The key of this call, the same when it is repeated; raises BadSignature. `now` in microseconds."""
        ...

    def notices(self, event: msgspec.Struct, key: str, body: bytes) -> list[Notice]:
        """What the event says; raises submission.problems.Problem for what the Struct could not refuse."""
        ...
