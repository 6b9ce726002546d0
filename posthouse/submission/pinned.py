"""The template of the catalog that a mail names: which version it is from now on, and what that needs.

Rules: the folder of templates goes first. The version is the newest one when the mail is accepted, and stays with the mail:
what is pushed later changes nothing that was accepted.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from posthouse.mail.template import Source
from posthouse.store.catalog.templates import Templates
from posthouse.submission.accept import Submission, in_time
from posthouse.submission.compose import Rules
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


Pin = Callable[[str], Awaitable[Pinned | None]]
"""The version that a mail has which names this template; None where that is none of the catalog. Raises StoreAway."""


class _Named(msgspec.Struct):
    template: str | None = None


_DECODER = msgspec.json.Decoder(_Named)


def pin_of(templates: Templates, in_folder: Callable[[str], bool] | None) -> Pin:
    """Asks the catalog for the newest version each time, for what it needs once. `in_folder` tells what the folder has."""
    known: OrderedDict[tuple[str, int], Pinned] = OrderedDict()

    async def pin(id: str) -> Pinned | None:
        if not ID.fullmatch(id) or (in_folder is not None and in_folder(id)):
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


async def pinned_by(pin: Pin | None, template: str | None) -> Pinned | None:
    """The version that a mail of this template has."""
    return None if pin is None or not template else await pin(template)


def named_in(raw: bytes) -> str | None:
    """The template that the body of a request names."""
    if b'"template"' not in raw:
        return None
    try:
        return _DECODER.decode(raw).template
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # what is wrong with it is said by who reads all of it


def allowing(rules: Rules, pinned: Pinned | None) -> Rules:
    """The rules for a mail of that version."""
    return rules if pinned is None else msgspec.structs.replace(rules, find=pinned.find)


def keeping(submission: Submission, pinned: Pinned | None) -> Submission:
    """The mail with the version that stays with it."""
    if pinned is None:
        return submission
    content = msgspec.structs.replace(submission.content, template_version=pinned.version)
    return msgspec.structs.replace(submission, content=content)
