"""The template of the catalog that a request names: which version it is from now on, and what that needs.

Rules: the folder of templates goes first. The version is the newest one when the mail is accepted, and stays with the mail:
what is pushed later changes nothing that was accepted.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from posthouse.mail.template import BadTemplate, Source
from posthouse.store.catalog.templates import Templates
from posthouse.submission.accept import in_time
from posthouse.submission.templated import Find
from posthouse.templates import ID

MOST = 256
"""Versions whose needs are remembered."""


class Pinned(msgspec.Struct, frozen=True):
    """A version of a template: its subject as written, and the variables that a mail has to bring."""

    template: str
    version: int
    subject: str | None
    required: tuple[str, ...]

    def find(self, id: str) -> Source | None:
        """What the rules ask of it (templated.Find)."""
        return Source(subject=self.subject, html="")

    def missing(self, variables: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Pointer and detail of each variable that it needs and the mail does not bring."""
        for name in self.required:
            if name not in variables:
                yield f"/variables/{name}", "the template needs this variable"


class _Named(msgspec.Struct):
    template: str | None = None


Pin = Callable[[bytes], Awaitable[Pinned | None]]
"""The version that the body of a request names; None where it names no template of the catalog. Raises StoreAway."""

_DECODER = msgspec.json.Decoder(_Named)


def pin_of(templates: Templates, folder: Find | None) -> Pin:
    """Asks the catalog for the newest version each time, for what it needs once."""
    known: OrderedDict[tuple[str, int], Pinned] = OrderedDict()

    async def pin(raw: bytes) -> Pinned | None:
        id = _named(raw)
        if id is None or _is_there(folder, id):
            return None
        head = await in_time(templates.template_head(id))
        if head is None:
            return None
        found = known.get((id, head.version))
        if found is None:
            version = await in_time(templates.template(id, head.version))
            required = version.made.required if version else ()
            found = known[id, head.version] = Pinned(id, head.version, head.subject, required)
            if len(known) > MOST:
                known.popitem(last=False)
        return found

    return pin


def _named(raw: bytes) -> str | None:
    if b'"template"' not in raw:
        return None
    try:
        id = _DECODER.decode(raw).template
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # what is wrong with it is said by who reads all of it
    return id if id is not None and ID.fullmatch(id) else None


def _is_there(folder: Find | None, id: str) -> bool:
    try:
        return folder is not None and folder(id) is not None
    except BadTemplate:
        return True
