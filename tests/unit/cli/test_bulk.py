"""posthouse bulk on the store of its settings: sent, shown, steered, watched with a bar; who did it is in the trail."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from posthouse import terminal
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.store.sqlite import SqliteStore
from tests.unit.cli.shell import Shell, one_line

PEOPLE = [{"email": f"rider{n}@example.org", "name": f"Rider {n}"} for n in range(3)]


def on_store(folder: Path, work: Callable[[SqliteStore], Coroutine[Any, Any, Any]]) -> Any:
    """What `work` gives on the store of a shell."""

    async def opened() -> Any:
        store = SqliteStore(folder / "posthouse.db")
        await store.start()
        try:
            return await work(store)
        finally:
            await store.stop()

    return asyncio.run(opened())


@pytest.fixture
def stable(posthouse: Shell) -> Shell:
    """With a template and a file of people."""
    source = Source(subject="Hello", text="You ride.")
    on_store(posthouse.folder, lambda store: store.push_template("welcome", source, press(source), "Ann"))
    (posthouse.folder / "people.json").write_text(json.dumps(PEOPLE))
    return posthouse


def begun(shell: Shell, *more: str) -> str:
    """The id of a new campaign."""
    ran = shell("bulk", "send", "welcome", "--recipients", "people.json", *more)
    assert ran.code == 0, ran.err
    return ran.json["jobId"]


def test_a_dry_run_keeps_nothing(stable: Shell) -> None:
    ran = stable("bulk", "send", "welcome", "--recipients", "people.json", "--dry-run")
    assert (ran.code, ran.json) == (0, {"success": True, "dryRun": True, "totalCount": 3})
    assert stable("bulk", "list").json["items"] == []


def test_what_is_given_is_kept_and_shown(stable: Shell) -> None:
    given = (
        "--at",
        "2099-01-01T00:00:00Z",
        "--until",
        "2099-01-02T00:00:00Z",
        "--rate",
        "5/s",
        "--priority",
        "7",
    )
    id = begun(stable, *given, "--metadata", '{"a": 1}', "--variables", '{"town": "Ulm"}', "--subject", "Hi")
    job = stable("bulk", "show", id).json
    assert (job["status"], job["priority"], job["metadata"]) == ("QUEUED", 7, {"a": 1})
    assert (job["variables"], job["subject"], job["rate"]) == ({"town": "Ulm"}, "Hi", "5/1s")
    assert (job["scheduledAt"][:10], job["expiresAt"][:10]) == ("2099-01-01", "2099-01-02")
    assert [each["id"] for each in stable("bulk", "list").json["items"]] == [id]
    assert stable("bulk", "recipients", id).json["items"] == []


def test_acts_are_by_the_person_at_the_command_line(stable: Shell) -> None:
    id = begun(stable)
    for act, status in (("pause", "PAUSED"), ("resume", "QUEUED"), ("cancel", "CANCELED")):
        ran = stable("bulk", act, id)
        assert (ran.code, ran.json["status"]) == (0, status)
    one_line(stable("bulk", "resume", id), 2, "is canceled")
    trail = on_store(stable.folder, lambda store: store.acts(9, about=f"campaign:{id}"))
    assert {entry.by.partition(" at the ")[2] for entry in trail} == {"command line"}
    assert [entry.act for entry in trail] == ["canceled", "resumed", "paused", "created"]


def test_what_is_wrong_is_named(stable: Shell) -> None:
    ran = stable("bulk", "send", "nobody", "--role", "rider", "--rate", "fast")
    assert ran.code == 2 and "/templateId" in ran.err and "/rate" in ran.err
    one_line(stable("bulk", "send", "welcome", "--recipients", "none.json"), 2, "none.json")
    one_line(stable("bulk", "send", "welcome", "--role", "a", "--metadata", "{"), 2, "--metadata")
    one_line(stable("bulk", "show", "nobody"), 2, "no campaign")


def test_watched_to_its_end_the_exit_code_tells(stable: Shell, working: Shell) -> None:
    ran = stable("bulk", "send", "welcome", "--recipients", "people.json", "--watch")
    last = json.loads(ran.out.splitlines()[-1])
    assert (ran.code, last["status"], last["sentCount"]) == (0, "COMPLETED", 3)
    assert stable("bulk", "watch", last["id"]).code == 0
    failed = stable("bulk", "send", "welcome", "--role", "nobody", "--watch")
    assert (failed.code, json.loads(failed.out.splitlines()[-1])["status"]) == (1, "FAILED")


def test_on_a_terminal_there_is_a_bar_and_a_line(
    stable: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    id = begun(stable)
    job = stable("bulk", "show", id).json
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with terminal.progress() as shown:
        shown(job)
        shown(
            {
                **job,
                "status": "PROCESSING",
                "audienceComplete": True,
                "totalCount": 4,
                "sentCount": 3,
                "pendingCount": 1,
                "ratePerSecond": 2.5,
            }
        )
    out = capsys.readouterr().out
    assert "PROCESSING" in out and "75%" in out and "4 in all, 3 sent, 2.5/s" in out
    ran = stable("bulk", "pause", id)
    assert ran.out == f"{id} PAUSED: 0 in all\n"
