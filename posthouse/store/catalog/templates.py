"""The catalog's templates: versions that never change, numbered from 1 for each id.

Rules: a version keeps what was written and what was made of it; pushing what equals the latest adds none. An archived
template is no longer found by its id alone, but its versions are: mail that was accepted with one is still rendered from
it. A push brings it back. Every change is in the trail, about `template:<id>`.
"""

from hashlib import sha256
from typing import Protocol

import msgspec

from posthouse.mail.template import Made, Source
from posthouse.store.catalog.trail import Deed


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a version: its number, its subject as written, when (microseconds) and by whom it was
    pushed."""

    template: str
    version: int
    subject: str | None = None
    at: int = 0
    by: str = ""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    head: Head
    source: Source
    made: Made


class Templates(Protocol):
    """See the module."""

    async def push_template(self, id: str, source: Source, made: Made, by: str) -> tuple[Head, bool]:
        """The latest version then, and whether it is new."""
        ...

    async def template_head(self, id: str) -> Head | None:
        """The latest version of a template, without its content: asked with every mail that names one."""
        ...

    async def template(self, id: str, version: int | None = None) -> Version | None:
        """A version: the latest, or that of a number, of an archived template too."""
        ...

    async def templates(self, limit: int, cursor: str | None = None) -> list[Head]:
        """The latest version of each, by id, after the id `cursor`."""
        ...

    async def template_versions(self, id: str, limit: int, cursor: int | None = None) -> list[Head]:
        """The versions of one, archived or not, the newest first, before the number `cursor`."""
        ...

    async def archive_template(self, id: str, by: str) -> bool:
        """Takes it out of use; False where there is none of this id."""
        ...


def digest(source: Source) -> bytes:
    """What tells one source from another."""
    return sha256(msgspec.msgpack.encode(source, order="deterministic")).digest()


def pushed(head: Head) -> Deed:
    """What the trail says of a new version."""
    return Deed("pushed", f"template:{head.template}", {"version": head.version})


def restored(id: str) -> Deed:
    """What the trail says of an archived template that was pushed again as it was."""
    return Deed("restored", f"template:{id}")


def archived(id: str) -> Deed:
    """What the trail says of one that was taken out of use."""
    return Deed("archived", f"template:{id}")
