"""The transport `inbox:`: mail is captured instead of sent, the last KEPT of it, for development and first steps.

It lies as files in a folder, one JSON object a mail, named by the time and the id, so that `posthouse inbox` (and, later, the
console) can read it from another process. Writing the file is the end of data.
"""

import os
import time
from collections.abc import Container, Sequence
from email import message_from_bytes, policy
from pathlib import Path

import msgspec

from posthouse.check import Check, examine_folder
from posthouse.mail.address import CONTROL
from posthouse.mail.errors import TransportAway
from posthouse.mail.outcome import Outcome, not_begun, refused, transport_away
from posthouse.transport.base import Envelope, Use

KEPT = 10_000
"""Mails the inbox keeps; a twentieth more before the oldest are removed."""


_KEPT = Outcome(result="accepted", code=250, enhanced_code="2.0.0", text="kept in the inbox", category="ok")
_UNSAYABLE = refused("the address cannot be said", "address", 553)


class Captured(msgspec.Struct, frozen=True):
    """A mail as it would have left: envelope, when (microseconds), and the bytes."""

    id: str
    at: int
    sender: str
    recipients: tuple[str, ...]
    data: bytes


class Inbox:
    """See transport.base; the newest `kept` mails lie in `folder`."""

    name = "inbox:"
    connections = 10
    limit = 60.0

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self._folder, self._kept = folder, kept
        self._count = 0
        self._running = False

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._count = sum(1 for _ in self._folder.glob("*.json"))
        self._running = True

    async def stop(self) -> None:
        """Nothing is in the air between two calls."""
        self._running = False

    def send(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            envelope.done(self._take(envelope))

    def recall(self, ids: Container[str] | None = None) -> None:
        """Nothing waits."""

    def use(self) -> Use:
        """Nothing is in the air between two calls."""
        return Use()

    async def probe(self) -> None:
        if not os.access(self._folder, os.W_OK):
            raise TransportAway("inbox: its folder cannot be written")

    async def examine(self) -> list[Check]:
        """See posthouse.check."""
        told = Check("transport inbox:", "ok", "mail is captured in the inbox; nothing leaves this machine")
        return [told, *examine_folder("transport inbox:", self._folder)]

    def _take(self, envelope: Envelope) -> list[Outcome]:
        count = len(envelope.recipients)
        if not self._running:
            return [not_begun("the inbox is closed")] * count
        faults = [_UNSAYABLE if CONTROL.search(each) else None for each in envelope.recipients]
        if None not in faults or CONTROL.search(envelope.sender):
            return [_UNSAYABLE] * count
        if not envelope.begin(faults):
            return [not_begun("the lease is over")] * count
        try:
            self._write(
                envelope, [e for e, fault in zip(envelope.recipients, faults, strict=True) if not fault]
            )
        except OSError as error:
            return [transport_away(f"inbox: {error.strerror}")] * count
        return [fault or _KEPT for fault in faults]

    def _write(self, envelope: Envelope, recipients: Sequence[str]) -> None:
        at = time.time_ns() // 1000
        mail = Captured(envelope.id, at, envelope.sender, tuple(recipients), envelope.data)
        path = self._folder / f"{at:016d}-{envelope.id}.json"
        path.with_suffix(".part").write_bytes(msgspec.json.encode(mail))
        path.with_suffix(".part").rename(path)
        self._count += 1
        if self._count > self._kept + self._kept // 20:
            self._trim()

    def _trim(self) -> None:
        oldest = sorted(self._folder.glob("*.json"))[: -self._kept]
        for path in oldest:
            path.unlink(missing_ok=True)
        self._count -= len(oldest)


def captured(folder: Path, limit: int) -> list[Captured]:
    """The newest mails of an inbox, newest first."""
    paths = sorted(folder.glob("*.json"), reverse=True)[:limit]
    return [msgspec.json.decode(path.read_bytes(), type=Captured) for path in paths]


def text_of(mail: Captured) -> tuple[str, str]:
    """The subject and the readable text of a captured mail."""
    parsed = message_from_bytes(mail.data, policy=policy.default)
    body = parsed.get_body(("plain", "html"))
    return str(parsed["Subject"] or ""), "" if body is None else str(body.get_content())
