"""One line of a diagnosis: what was looked at, how it stands, and what to do. And what can be said of any folder.

A store or a transport that can say more of itself than that it answers has `examine` (Examined).
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import msgspec

Verdict = Literal["ok", "warn", "fail"]

LITTLE, NONE = 1 << 30, 100 << 20
"""Free bytes below which a disk has little room left, or none to speak of."""
FAR = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"))
"""File systems of other machines: their locks and their shared memory are not to be relied on."""
BRIEF = {
    "tmpfs": "in memory: it is gone when the machine stops",
    "overlay": "a container's own layer: it goes with it",
}
"""File systems that do not last."""


class Check(msgspec.Struct, frozen=True):
    """`part` was looked at and this was `found`; `advice` says what to do where the verdict is not ok."""

    part: str
    verdict: Verdict
    found: str
    advice: str = ""


@runtime_checkable
class Examined(Protocol):
    """What can look at itself by really connecting, without sending or changing anything."""

    async def examine(self) -> list[Check]:
        """What it found, in order; it raises nothing for what is merely wrong."""
        ...


def examine_folder(part: str, folder: Path) -> list[Check]:
    """Whether it can be written, lasts, keeps locks, and has room."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        advice = f"let the user of this process ({os.geteuid()}) write to {folder}"
        return [Check(part, "fail", f"{folder} cannot be written: {error.strerror}", advice)]
    return [Check(part, "ok", f"{folder} can be written"), _room(part, folder), *_kind(part, folder)]


def _room(part: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB are free on its disk"
    if free >= LITTLE:
        return Check(part, "ok", found)
    return Check(
        part, "fail" if free < NONE else "warn", found, "make room: no mail is accepted on a full disk"
    )


def _kind(part: str, folder: Path) -> list[Check]:
    kind = file_system(folder)
    if kind in FAR:
        advice = "use a disk of this machine; several machines share a store through postgresql://"
        return [Check(part, "fail", f"it lies on {kind}, on another machine", advice)]
    if kind in BRIEF:
        return [
            Check(part, "warn", f"it lies on {kind}, {BRIEF[kind]}", "use a disk, or a volume, that lasts")
        ]
    return []


def file_system(folder: Path) -> str | None:
    """The kind of file system that a folder is on, where the system tells (Linux)."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    mounts = {line.split()[1].encode().decode("unicode_escape"): line.split()[2] for line in lines}
    path = folder.resolve()
    return next((mounts[str(each)] for each in (path, *path.parents) if str(each) in mounts), None)
