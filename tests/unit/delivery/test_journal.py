"""The journal: what a dead process had begun and heard is found, a living one's is left alone, and doubt is not hidden."""

import os
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import msgspec
import pytest

from posthouse.delivery import journal as module
from posthouse.delivery.journal import ROOM, Abandoned, Begin, Header, Journal, Reply, abandoned, boot_id
from posthouse.mail.outcome import Outcome, classify
from tests.unit.delivery.parts import SizeLimit, eventually

OK = classify(250, "2.0.0", "ok")
NO = classify(550, "5.1.1", "no such user")
STORE = "store-1"


def frame(entry: Header | Begin | Reply) -> bytes:
    payload = msgspec.msgpack.encode(entry)
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def header(boot: str | None = None, store: str = STORE) -> bytes:
    return frame(Header("worker", boot or boot_id(), store))


def begin(id: str, fence: int = 1, **replies: Outcome | None) -> bytes:
    return frame(Begin(id, fence, "t:", replies or {"a@x.example": None}))


def left_behind(folder: Path, *frames: bytes) -> Path:
    path = folder / "dead.journal"
    path.write_bytes(b"".join(frames))
    return path


def found(folder: Path, remove: bool = False) -> list[Abandoned]:
    journals = list(abandoned(folder, STORE))
    for each in journals:
        each.close(remove=remove)
    return journals


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path, "worker", STORE)
    made.open()
    return made


def die(journal: Journal) -> None:
    """Lets go of the lock as the death of a process does: nothing more is written."""
    journal._let_go()


def test_what_was_begun_and_heard_is_found_after_death(journal: Journal, tmp_path: Path) -> None:
    journal.begin("one", 3, "smtp:a", {"a@x.example": None, "b@x.example": NO})
    journal.begin("two", 1, "smtp:a", {"c@x.example": None})
    journal.reply("one", 3, {"a@x.example": OK, "b@x.example": NO})
    die(journal)
    (left,) = found(tmp_path)
    assert left.owner == "worker"
    assert left.begun == {
        "one": Begin("one", 3, "smtp:a", {"a@x.example": None, "b@x.example": NO}),
        "two": Begin("two", 1, "smtp:a", {"c@x.example": None}),
    }
    assert left.replies == {"one": Reply("one", 3, {"a@x.example": OK, "b@x.example": NO})}


def test_of_two_leases_of_a_message_the_later_counts(journal: Journal, tmp_path: Path) -> None:
    journal.begin("one", 1, "t:", {"a@x.example": None})
    journal.reply("one", 1, {"a@x.example": NO})
    journal.begin("one", 2, "t:", {"a@x.example": None})
    die(journal)
    (left,) = found(tmp_path)
    assert (left.begun["one"].fence, left.replies["one"].fence) == (2, 1)


def test_that_of_the_living_is_not_found(journal: Journal, tmp_path: Path) -> None:
    journal.begin("one", 1, "t:", {"a@x.example": None})
    assert found(tmp_path) == []
    journal.settled(["one"])
    journal.close()


def test_it_is_there_until_it_is_removed(journal: Journal, tmp_path: Path) -> None:
    die(journal)
    assert len(found(tmp_path)) == len(found(tmp_path)) == 1
    assert len(found(tmp_path, remove=True)) == 1
    assert found(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_who_looks_at_it_holds_it(journal: Journal, tmp_path: Path) -> None:
    """Two that look at once do not both settle from it."""
    die(journal)
    first = abandoned(tmp_path, STORE)
    mine = next(first)
    assert found(tmp_path) == []
    mine.close(remove=False)
    assert len(found(tmp_path)) == 1


def test_one_that_its_owner_replaces_while_we_look_is_left_alone(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that we opened has lost its name, and so its lock is free, although its owner lives."""
    journal.begin("one", 1, "t:", {"a@x.example": None})
    open_file = os.open

    def open_and_be_overtaken(path, flags: int) -> int:
        monkeypatch.undo()
        fd = open_file(path, flags)
        journal._create(before=journal._let_go)
        return fd

    monkeypatch.setattr(os, "open", open_and_be_overtaken)
    assert found(tmp_path) == []
    die(journal)
    assert list(found(tmp_path)[0].begun) == ["one"]


def test_close_removes_it_only_when_all_is_settled(tmp_path: Path) -> None:
    for settled in (True, False):
        made = Journal(tmp_path, "worker", STORE)
        made.open()
        made.begin("one", 1, "t:", {"a@x.example": None})
        if settled:
            made.settled(["one", "never begun"])
        made.close()
        assert made.path.exists() is not settled
    assert list(found(tmp_path)[0].begun) == ["one"]


def test_a_reply_to_what_was_settled_meanwhile_is_taken(journal: Journal) -> None:
    """Its lease was lost, somebody else's word was written, and then the server answered."""
    journal.begin("one", 1, "t:", {"a@x.example": None})
    journal.settled(["one"])
    journal.reply("one", 1, {"a@x.example": OK})
    journal.settled(["one"])
    journal.close()
    assert not journal.path.exists()


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 20])
def test_a_torn_last_frame_is_left_out(tmp_path: Path, cut: int) -> None:
    """It was never whole, so its end of data was never written."""
    last = begin("two")
    left_behind(tmp_path, header(), begin("one"), last[: len(last) - cut])
    (left,) = found(tmp_path)
    assert list(left.begun) == ["one"]


@pytest.mark.parametrize("where", ["last", "middle", "unreadable", "header", "empty"])
def test_one_that_cannot_be_trusted_is_removed_and_its_leases_lapse(tmp_path: Path, where: str) -> None:
    """What a wrong frame hides may have been sent: nothing may be concluded from its absence."""
    wrong = begin("two").replace(b"two", b"owt")
    payload = msgspec.msgpack.encode(["from the future", 1])
    unreadable = struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
    frames = {
        "last": (header(), begin("one"), wrong),
        "middle": (header(), wrong, begin("one")),
        "unreadable": (header(), unreadable, begin("one")),
        "header": (begin("one"),),
        "empty": (),
    }
    path = left_behind(tmp_path, *frames[where])
    assert found(tmp_path) == []
    assert not path.exists()


def test_one_of_another_boot_is_removed(tmp_path: Path) -> None:
    path = left_behind(tmp_path, header(boot="another"), begin("one"))
    assert found(tmp_path) == []
    assert not path.exists()


def test_one_of_another_store_is_left_alone(tmp_path: Path) -> None:
    path = left_behind(tmp_path, header(store="store-2"), begin("one"))
    assert found(tmp_path) == []
    assert path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert found(tmp_path / "nowhere") == []


def test_once_large_it_is_written_anew_with_what_is_unsettled(journal: Journal, tmp_path: Path) -> None:
    long = classify(250, None, "x" * 10_000)
    journal.begin("kept", 7, "t:", {"a@x.example": None})
    journal.reply("kept", 7, {"a@x.example": OK})
    largest = 0
    for number in range(ROOM // 10_000 + 50):
        id = f"id-{number}"
        journal.begin(id, 1, "t:", {"a@x.example": None})
        journal.reply(id, 1, {"a@x.example": long})
        journal.settled([id])
        largest = max(largest, journal.path.stat().st_size)
        assert found(tmp_path) == [], "it is never free while its owner lives"
    assert largest == ROOM
    assert [path.name for path in tmp_path.iterdir()] == ["worker.journal"]
    die(journal)
    (left,) = found(tmp_path)
    assert left.begun["kept"].fence == left.replies["kept"].fence == 7


def test_what_the_disk_has_no_room_for_is_refused_whole(journal: Journal, tmp_path: Path) -> None:
    """Half a frame would hide all that follows: begin raises, and the journal goes on with what was whole."""
    long = classify(250, None, "x" * (ROOM // 2))
    journal.begin("one", 1, "t:", {"a@x.example": None})
    with SizeLimit(ROOM):
        journal.reply("one", 1, {"a@x.example": long})
        with pytest.raises(OSError):
            journal.begin("two", 1, "t:", {"b@x.example": long})
    journal.begin("three", 1, "t:", {"c@x.example": None})
    die(journal)
    (left,) = found(tmp_path)
    assert list(left.begun) == ["one", "three"]
    assert list(tmp_path.iterdir()) == [journal.path]


def test_an_entry_larger_than_the_room_is_kept(journal: Journal, tmp_path: Path) -> None:
    journal.begin("one", 1, "t:", {"a@x.example": classify(550, None, "x" * (2 * ROOM))})
    journal.begin("two", 1, "t:", {"b@x.example": None})
    die(journal)
    assert list(found(tmp_path)[0].begun) == ["one", "two"]


CHILD = """
import sys
from pathlib import Path
from posthouse.delivery.journal import Journal
from posthouse.mail.outcome import classify

journal = Journal(Path(sys.argv[1]), "child", "store-1")
journal.open()
answer = classify(250, None, "x" * 3000)
number = 0
while True:
    journal.begin(f"id-{number}", number, "t:", {"a@x.example": None})
    print(number, flush=True)
    journal.reply(f"id-{number}", number, {"a@x.example": answer})
    if number % 3:
        journal.settled([f"id-{number}"])
    number += 1
"""


@pytest.mark.parametrize("after", [1, 1500, 2500])
def test_kill_9_in_the_middle_of_writing(tmp_path: Path, after: int) -> None:
    """Whatever was said to be begun is found, across rewriting; alive, the child's journal was not to be had."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= after:
            break
    assert found(tmp_path) == []
    child.send_signal(signal.SIGKILL)
    last = int((child.stdout.read().splitlines() or [line])[-1])
    child.wait(20)
    (left,) = found(tmp_path)
    assert left.owner == "child"
    expected = {number for number in range(last + 1) if number % 3 == 0} | {last}
    assert {f"id-{number}" for number in expected} <= set(left.begun)
    assert {f"id-{number}" for number in expected - {last}} <= set(left.replies)
    assert all(left.begun[f"id-{number}"].fence == number for number in expected)


async def test_a_child_process_does_not_keep_the_lock(journal: Journal, tmp_path: Path) -> None:
    """It is opened close-on-exec: helpers that outlive us must not make us look alive."""
    helper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    die(journal)
    await eventually(lambda: found(tmp_path))  # Linux lets the parent go on a moment before it closes
    assert helper.poll() is None
    helper.communicate(b"\n", timeout=20)


def test_the_boot_has_a_name() -> None:
    assert boot_id() == boot_id() != ""
    assert module.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
