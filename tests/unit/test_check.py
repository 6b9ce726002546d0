"""What is said of a folder, and of a file system."""

from pathlib import Path

import pytest

from posthouse import check
from posthouse.check import examine_folder, file_system


def test_a_good_folder(tmp_path: Path) -> None:
    assert {each.verdict for each in examine_folder("state", tmp_path / "new")} <= {"ok", "warn"}
    assert (tmp_path / "new").is_dir()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (only,) = examine_folder("state", tmp_path / "file" / "folder")
    assert (only.verdict, "cannot be written" in only.found) == ("fail", True)


@pytest.mark.parametrize(
    ("little", "none", "verdict"), [(0, 0, "ok"), (1 << 62, 0, "warn"), (1 << 62, 1 << 62, "fail")]
)
def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little: int, none: int, verdict: str) -> None:
    monkeypatch.setattr(check, "LITTLE", little)
    monkeypatch.setattr(check, "NONE", none)
    assert [each.verdict for each in examine_folder("x", tmp_path) if "free" in each.found] == [verdict]


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="only Linux tells")
def test_the_kind_of_a_file_system() -> None:
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.parametrize(
    ("kind", "verdict"), [("nfs4", "fail"), ("tmpfs", "warn"), ("overlay", "warn"), ("ext4", None)]
)
def test_what_a_file_system_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: str | None
) -> None:
    monkeypatch.setattr(check, "file_system", lambda folder: kind)
    said = [each.verdict for each in examine_folder("x", tmp_path) if kind in each.found]
    assert said == ([verdict] if verdict else [])
