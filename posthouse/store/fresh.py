"""The contents that this process has just saved: its worker asks for them within moments, and need not read them back.

Rules: bounded in bytes, the oldest go first; each is given once (a second try of a mail reads the store). What waits
for its template is rewritten once, maybe by another process, so it is not here: what is here is what the store has.
"""

from collections.abc import Iterable, Sequence

from posthouse.mail.message import Content
from posthouse.store.base import Draft, Saved

BYTES = 16 << 20
"""Bytes of content that are remembered at most."""


class Fresh:
    """To be told of what was committed, and asked before the store is."""

    def __init__(self) -> None:
        self._contents: dict[str, tuple[int, Content]] = {}
        self._bytes = 0

    def saved(self, drafts: Sequence[Draft], results: Sequence[Saved]) -> None:
        """Remembers what is new and due now."""
        for draft, result in zip(drafts, results, strict=True):
            size = draft.message.size
            final = draft.content.template is None
            if result.created and final and draft.message.scheduled_at is None and size < BYTES // 16:
                self._contents[draft.message.id] = (size, draft.content)
                self._bytes += size
        while self._bytes > BYTES:
            self._forget(next(iter(self._contents)))

    def take(self, ids: Iterable[str]) -> dict[str, Content]:
        """Those of these that are remembered; they are forgotten."""
        return {id: self._forget(id) for id in ids if id in self._contents}

    def _forget(self, id: str) -> Content:
        size, content = self._contents.pop(id)
        self._bytes -= size
        return content
