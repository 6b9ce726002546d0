"""The records that this process wrote last, as they then stood: who changes one next need not read it.

Rules: what is here is a guess at what stands there; the version it was written in makes it sure. A write that names that
version is refused if it is old, and whoever decides to write nothing asks first whether that version still stands. Bounded in
bytes, the oldest go first.
"""

import threading
from typing import NamedTuple

BYTES = 32 << 20
"""Of records that are remembered at most: about twenty thousand."""
LARGEST = 16 << 10
"""Bytes of a record that is remembered."""
_BESIDE = 300
"""What one costs beside its bytes."""

Version = tuple[int, int]
"""A document's _seq_no and _primary_term."""


class Written(NamedTuple):
    """A record as MessagePack, what of its document never changes (JSON without the braces), the notices that it heard
    last, and its version."""

    record: bytes
    fixed: bytes
    heard: list[str]
    seen: Version

    @property
    def size(self) -> int:
        """What it takes of BYTES."""
        return len(self.record) + len(self.fixed) + _BESIDE


class Recent:
    """To be told of what was written. Several event loops may ask."""

    def __init__(self) -> None:
        self._written: dict[str, Written] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, id: str, written: Written) -> None:
        """It stands there like this now."""
        with self._lock:
            self._drop(id)
            if written.size <= LARGEST:
                self._written[id] = written
                self._bytes += written.size
            while self._bytes > BYTES:
                self._drop(next(iter(self._written)))

    def get(self, id: str) -> Written | None:
        """What was written last, if it is still remembered."""
        return self._written.get(id)

    def drop(self, id: str) -> None:
        """Somebody else changed it."""
        with self._lock:
            self._drop(id)

    def _drop(self, id: str) -> None:
        if (written := self._written.pop(id, None)) is not None:
            self._bytes -= written.size
