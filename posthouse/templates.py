"""The folder of templates: a folder for each, named by its id, read again when its files change.

Rules: an id is one plain name, so that no id leads out of the folder. Files are text in UTF-8; beside those of the parts
there may be DEFAULTS, a JSON object of variables.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from posthouse.mail.template import FILES, BadTemplate, Source

DEFAULTS = "defaults.json"

MOST_BYTES = 1_000_000
"""Of one file."""

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

Stamp = tuple[tuple[int, int, int] | None, ...]
"""What tells one state of a template's files from the next."""


class TemplateFolder:
    """Finds templates by their id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[Stamp, Source]] = {}

    def has(self, id: str) -> bool:
        """Whether it is there, be it right or wrong; nothing is read."""
        try:
            return ID.fullmatch(id) is not None and any(_stamps(self._folder / id)[1:-1])
        except OSError:
            return True

    def find(self, id: str) -> Source | None:
        """The template as it is now, or None where there is none; raises BadTemplate when it cannot be read."""
        if not ID.fullmatch(id):
            return None
        place = self._folder / id
        try:
            stamp = _stamps(place)
            if not any(stamp[1:-1]):
                return None
            known = self._known.get(id)
            if known is None or known[0] != stamp:
                known = self._known[id] = (stamp, _read(place))
        except OSError as error:
            raise BadTemplate(f"the template cannot be read: {error.strerror}") from None
        return known[1]


def _stamps(place: Path) -> Stamp:
    return tuple(_stamp(place / name) for name in (*FILES.values(), DEFAULTS))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(place: Path) -> Source:
    parts = {part: _text(place / name) for part, name in FILES.items()}
    return Source(**parts, defaults=_defaults(_text(place / DEFAULTS) or "{}"))


def _defaults(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise BadTemplate(f"{DEFAULTS}: it is not a JSON object") from None


def _text(path: Path) -> str | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) > MOST_BYTES:
        raise BadTemplate(f"{path.name}: it is larger than {MOST_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadTemplate(f"{path.name}: it is not UTF-8") from None
