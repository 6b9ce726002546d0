"""A restored store is behind what really happened: what was due in the backup and sent since is not doubled silently."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, opened, until


def posthouse(house: House, *arguments: str) -> tuple[int, Any, str]:
    """A command with the settings of a house: exit code, JSON, stderr."""
    command = [sys.executable, "-m", "posthouse.cli", *arguments]
    done = subprocess.run(
        command, env=house.environ, cwd=house.folder, capture_output=True, text=True, timeout=60
    )
    return done.returncode, msgspec.json.decode(done.stdout) if done.stdout else None, done.stderr


def times_of(sink: SmtpSink, message_id: str) -> int:
    return sum(mail.message_id == message_id for mail in sink.mails)


async def lose(house: House) -> None:
    """The disk is gone."""
    await house.kill()
    for path in house.folder.glob("posthouse.db*"):
        path.unlink()


async def backed_up(house: House, sink: SmtpSink) -> tuple[str, str, str, str]:
    """Mails by what became of them: sent before the backup; due in it and sent after it; scheduled; after it."""
    before = await house.send()
    await house.until(before, "sent")
    await sink.stop()
    due = await house.send()
    await house.until(due, "deferred", "pending")
    later = await house.send(scheduled_at="2099-01-01T00:00:00Z")
    code, said, _ = posthouse(house, "backup", "backup.db")
    assert (code, said["records"]) == (0, 3)
    await sink.start()
    await house.until(due, "sent")
    after = await house.send()
    await house.until(after, "sent")
    return before, due, later, after


async def test_what_was_sent_after_the_backup_is_held_and_a_person_decides(tmp_path: Path) -> None:
    async with (
        SmtpSink() as sink,
        opened(tmp_path, f"smtp://127.0.0.1:{sink.port}?tls=none", attempts="50") as house,
    ):
        before, due, later, after = await backed_up(house, sink)
        message_id = (await house.get(due))["message_id"]
        await lose(house)
        code, said, _ = posthouse(house, "restore", "backup.db")
        assert (code, said["held"], said["due_later"]) == (0, 1, 1)

        await house.start()
        new = await house.send()
        await house.until(new, "sent")  # the house works, and has looked at everything that is due
        held = await house.get(due)
        assert (held["state"], held["status"], held["next_attempt_at"]) == ("unknown", "PENDING", None)
        assert "restored" in held["error"]
        assert times_of(sink, message_id) == 1, "it was doubled"
        assert (await house.get(before))["state"] == "sent"
        assert (await house.get(later))["state"] == "pending"
        assert (await house.client.get(f"/emails/{after}")).status_code == 404  # the price of a backup
        code, explained, _ = posthouse(house, "explain", due)
        assert "restored" in " ".join(explained["explanation"])

        assert posthouse(house, "retry", due)[0] == 0
        await house.until(due, "sent")
        assert times_of(sink, message_id) == 2
        code, audited, _ = posthouse(house, "audit")
        assert (code, audited["wrong"]) == (0, 0)


async def test_whoever_wants_it_sent_again_says_so(tmp_path: Path) -> None:
    async with (
        SmtpSink() as sink,
        opened(tmp_path, f"smtp://127.0.0.1:{sink.port}?tls=none", attempts="50") as house,
    ):
        _, due, _, _ = await backed_up(house, sink)
        message_id = (await house.get(due))["message_id"]
        await lose(house)
        assert posthouse(house, "restore", "backup.db", "--resend")[0] == 0
        await house.start()
        await house.until(due, "sent")
        assert times_of(sink, message_id) == 2


@pytest.mark.parametrize("choice", ["--hold", "--resend"])
async def test_old_journals_say_nothing_about_a_restored_store(tmp_path: Path, choice: str) -> None:
    """The backup is made while a mail is in the air; its worker settles it, and dies. That worker's journal belongs to
    the lost store, and whether it still knows the mail is chance: where it had forgotten it, it would call it untouched."""
    async with (
        SmtpSink() as sink,
        opened(tmp_path, f"smtp://127.0.0.1:{sink.port}?tls=none", on_unknown="hold") as house,
    ):
        sink.rules.append(Rule(step="end", delay=3.0, times=1))
        mail = await house.send()
        await until(lambda: any("DATA" in visit.commands for visit in sink.visits), 15)
        assert posthouse(house, "backup", "backup.db")[0] == 0
        await house.until(mail, "sent")
        await lose(house)
        assert list((tmp_path / "state/journals").glob("*.journal")), (
            "a worker that is killed leaves its journal"
        )
        assert posthouse(house, "restore", "backup.db", choice)[0] == 0
        await house.start()
        record = await house.until(mail, "unknown", seconds=30)
        assert len(sink.mails) == 1
        assert record["recipients"][0]["error"].startswith(
            "the store was restored" if choice == "--hold" else "worker lost"
        )


async def test_nobody_restores_beneath_a_running_worker(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        assert posthouse(house, "backup", "backup.db")[0] == 0
        for command in (("restore", "backup.db"), ("hold",)):
            code, _, said = posthouse(house, *command)
            assert (code, "a worker is running" in said) == (2, True)
        await house.stop()
        code, _, said = posthouse(house, "restore", "backup.db")
        assert (code, "nothing is overwritten" in said) == (2, True)
        code, held, said = posthouse(house, "hold")
        assert (code, held) == (0, {"held": 0, "due_later": 0, "campaigns_paused": 0}), said
        with sqlite3.connect(tmp_path / "backup.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
