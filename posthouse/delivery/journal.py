"""What one worker process said to SMTP servers, kept so that its death loses no outcome (DESIGN §3.5).

One append-only file per process, held by flock while it lives. Frames are length, CRC-32, msgpack; a length of 0 is the
end. `begin` is written before the write that can contain the end of data, `reply` after the answer; no fsync: the file
need only outlive the process, not the machine, which the boot id in the header tells apart. It is written through a
map of memory, whose room was taken on the disk before: no call of the system for each entry. Whoever finds a journal
with a free lock, of this boot and this store, settles from it. Once full, it is written anew with what is unsettled.
"""

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from posthouse.mail.outcome import Outcome

ROOM = 4 << 20
"""Bytes of a file, as a rule; once they are full it is written anew."""

_FRAME = struct.Struct("<II")


class Header(msgspec.Struct, frozen=True, tag="header", array_like=True):
    """Whose journal this is: the worker's name in leases, the boot it ran in, the store its ids belong to."""

    owner: str
    boot: str
    store: str


class Begin(msgspec.Struct, frozen=True, tag="begin", array_like=True):
    """The end of data may have been sent. `replies` gives each address None if it was taken at RCPT, else its fate."""

    id: str
    fence: int
    transport: str
    replies: dict[str, Outcome | None]


class Reply(msgspec.Struct, frozen=True, tag="reply", array_like=True):
    """How it ended: the outcome of each address, the final reply being that of those taken at RCPT."""

    id: str
    fence: int
    outcomes: dict[str, Outcome]


Entry = Header | Begin | Reply
_ENTRY = msgspec.msgpack.Decoder(Entry)
_encode = msgspec.msgpack.Encoder().encode


class Journal:
    """The journal of this process, in `folder`, for leases held as `owner` on the store with this identity."""

    def __init__(self, folder: Path, owner: str, store: str) -> None:
        self.path = folder / f"{owner}.journal"
        self._header = _frame(Header(owner, boot_id(), store))
        self._unsettled: dict[str, list[bytes]] = {}

    def open(self) -> None:
        """Creates the file and takes its lock."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._create()

    def begin(self, id: str, fence: int, transport: str, replies: dict[str, Outcome | None]) -> None:
        """To be called right before the write that can contain the end of data."""
        frame = _frame(Begin(id, fence, transport, replies))
        self._write(frame)
        self._unsettled[id] = [frame]

    def reply(self, id: str, fence: int, outcomes: dict[str, Outcome]) -> None:
        """To be called when the end of data was answered, or is known to remain unanswered."""
        frame = _frame(Reply(id, fence, outcomes))
        self._write(frame)
        self._unsettled.setdefault(id, []).append(frame)

    def settled(self, ids: Iterable[str]) -> None:
        """The store has these outcomes: they need not be kept here."""
        for id in ids:
            self._unsettled.pop(id, None)

    @property
    def unsettled(self) -> int:
        """How many messages it has the outcome of, or their beginning, that the store has not."""
        return len(self._unsettled)

    def close(self) -> None:
        """Lets go of the file; removes it when everything in it is settled."""
        if not self._unsettled:
            self.path.unlink(missing_ok=True)
        self._let_go()

    def _write(self, frame: bytes) -> None:
        """All of it or, with OSError, nothing: its length goes last, and until then it is the end."""
        if self._at + len(frame) + _FRAME.size > len(self._map):
            self._create(len(frame), before=self._let_go)
        body = self._at + _FRAME.size
        end = self._at + len(frame)
        self._map[body:end] = frame[_FRAME.size :]
        self._map[self._at : body] = frame[: _FRAME.size]
        self._at = end

    def _create(self, more: int = 0, before: Callable[[], None] = lambda: None) -> None:
        """A file with all that is unsettled, and room for `more` bytes: complete and locked before it takes the name,
        so that nobody ever finds it free while we live. Until then the old one counts, and `before` lets go of it."""
        frames = b"".join([self._header, *(frame for frames in self._unsettled.values() for frame in frames)])
        room = max(ROOM, 2 * (len(frames) + more))
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(fd, 0, room)
            written = mmap.mmap(fd, room)
            written[: len(frames)] = frames
            fresh.rename(self.path)
        except OSError:
            os.close(fd)
            fresh.unlink(missing_ok=True)
            raise
        before()
        self._fd, self._map, self._at = fd, written, len(frames)

    def _let_go(self) -> None:
        self._map.close()
        os.close(self._fd)


class Abandoned(msgspec.Struct, kw_only=True):
    """The journal of a dead worker, its lock held by us: what it had begun, and how far each got."""

    path: Path
    fd: int
    owner: str
    begun: dict[str, Begin]
    replies: dict[str, Reply]

    def close(self, *, remove: bool) -> None:
        """Lets go of it; `remove` once the store has everything that is in it."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self.fd)


def abandoned(folder: Path, store: str) -> Iterator[Abandoned]:
    """The usable journals of dead workers: of this boot and this store. Those of another boot, after which nobody knows
    what their last frames were, and those that cannot be read are removed: their leases lapse by themselves."""
    for path in sorted(folder.glob("*.journal")):
        found = _examine(path, store)
        if found:
            yield found


def _examine(path: Path, store: str) -> Abandoned | None:
    fd = _lock_if_free(path)
    if fd is None:
        return None
    entries = _entries(os.pread(fd, os.fstat(fd).st_size, 0))
    header = entries[0] if entries else None
    if not isinstance(header, Header) or header.boot != boot_id():
        path.unlink(missing_ok=True)
    elif header.store == store:
        begun = {entry.id: entry for entry in entries if isinstance(entry, Begin)}
        replies = {entry.id: entry for entry in entries if isinstance(entry, Reply)}
        return Abandoned(path=path, fd=fd, owner=header.owner, begun=begun, replies=replies)
    os.close(fd)
    return None


def _lock_if_free(path: Path) -> int | None:
    """The file, locked, if nobody alive holds it. One that lost its name meanwhile was replaced by its owner."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return None


def boot_id() -> str:
    """Tells one run of the machine from another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _frame(entry: Entry) -> bytes:
    payload = _encode(entry)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _entries(data: bytes) -> list[Entry]:
    """The whole frames of a file. A torn last one was never followed by its end of data, so it is left out; a frame
    that is whole and wrong makes the journal unusable (none): what it hides may have been sent."""
    entries: list[Entry] = []
    at = 0
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        if length == 0:
            break
        payload = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(payload) < length:
            break
        if zlib.crc32(payload) != crc:
            return []
        try:
            entries.append(_ENTRY.decode(payload))
        except msgspec.DecodeError:
            return []
        at += _FRAME.size + length
    return entries
