"""The command line on a store in a temporary folder: JSON when piped, exit codes, errors in one line on stderr."""

import json
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.cli.shell import SECONDS, Shell, one_line

# send, show, logs, status


def test_what_is_sent_is_in_the_record(posthouse: Shell) -> None:
    ran = posthouse("send", "ann@example.org", "bob@example.org", "--subject", "Horses", "--body", "Hello.")
    assert (ran.code, ran.err, ran.json["status"]) == (0, "", "PENDING")
    record = posthouse("show", ran.json["id"]).json
    assert (record["to"], record["subject"], record["state"]) == (
        ["ann@example.org", "bob@example.org"],
        "Horses",
        "pending",
    )
    assert [entry["event"] for entry in record["history"]] == ["accepted"]
    listed = posthouse("logs").json
    assert [item["id"] for item in listed["items"]] == [ran.json["id"]]
    status = posthouse("status").json
    assert (status["waiting"], status["failed"], status["unknown"]) == (1, 0, 0)
    assert status["oldest_due_seconds"] >= 0
    assert status["states"]["pending"] == 1


def test_a_queue_that_is_away_is_told_beside_the_status(posthouse: Shell) -> None:
    ran = posthouse("status", queue="redis://127.0.0.1:1/0")
    assert (ran.code, ran.json["waiting"], "hints" in ran.json) == (0, 0, False)
    assert "the queue is away: " in ran.err
    assert posthouse("status", queue="carrier-pigeon:").code == 2


def test_bodies_come_from_files_and_standard_input(posthouse: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>Grüße</p>", encoding="utf-8")
    (tmp_path / "a.txt").write_text("Grüße", encoding="utf-8")
    (tmp_path / "a.bin").write_bytes(b"\x00\x01")
    files = ["--html", "a.html", "--text", "a.txt", "--attach", "a.bin"]
    one = posthouse("show", posthouse.send(*files, "--from", "me@house.test", "--cc", "cy@x.example")).json
    assert (one["html"], one["text"], one["from"]) == ("<p>Grüße</p>", "Grüße", "me@house.test")
    assert one["cc"] == ["cy@x.example"]
    two = posthouse("show", posthouse.send("--lane", "bulk")).json
    assert (two["text"], two["lane"]) == ("Hello.", "bulk")


def test_lists_have_filters_and_both_forms(posthouse: Shell) -> None:
    first, second = posthouse.send(), posthouse.send()
    assert [item["id"] for item in posthouse("logs", "--limit", "1").json["items"]] == [second]
    assert [item["id"] for item in posthouse("logs", "--page", "1").json["items"]] == [first, second]
    assert [item["id"] for item in posthouse("logs", "--cursor", second).json["items"]] == [first]
    assert posthouse("logs", "--status", "SENT").json["items"] == []
    assert len(posthouse("logs", "--recipient", "ann@example.org").json["items"]) == 2


def test_what_is_refused_names_every_field(posthouse: Shell) -> None:
    ran = posthouse("send", "no-address", "--subject", "a\nb", "--body", "x")
    assert (ran.code, ran.out) == (2, "")
    assert "/to" in ran.err
    assert "/subject" in ran.err
    assert "Traceback" not in ran.err


def test_an_unknown_id(posthouse: Shell) -> None:
    for command in ("show", "retry"):
        assert posthouse(command, "no-such-id").code == 2
        assert posthouse(command, "../keys?x=1").code == 2


def test_retry_of_what_has_not_failed(posthouse: Shell) -> None:
    ran = posthouse("retry", posthouse.send())
    assert ran.code == 2
    assert ran.err.startswith("posthouse: ")


# --wait


def test_wait_tells_how_it_ended(working: Shell) -> None:
    ran = working("send", "ann@example.org", "--subject", "Horses", "--body", "Hello.", "--wait")
    assert (ran.code, ran.json["status"], ran.json["attempts"]) == (0, "SENT", 1)
    inbox = working("inbox").json
    assert (inbox["to"], inbox["subject"]) == (["ann@example.org"], "Horses")


def test_wait_without_a_worker_gives_up_in_time(posthouse: Shell) -> None:
    ran = posthouse("send", "ann@example.org", "--subject", "x", "--body", "y", "--wait", "--timeout", "0.3")
    assert (ran.code, ran.json["status"], ran.json["state"]) == (3, "PENDING", "pending")


def test_wait_for_what_fails(posthouse: Shell) -> None:
    """The worker refuses a mail that lives no longer than its first look; a person tries it again."""
    worker = posthouse.start("worker", log="json")
    try:
        ran = posthouse("send", "ann@example.org", "--subject", "x", "--body", "y", "--wait", expire="0")
        assert (ran.code, ran.json["status"], ran.json["error"]) == (
            1,
            "FAILED",
            "expired before its first try",
        )
        again = posthouse("retry", ran.json["id"])
        assert (again.code, again.json["id"]) == (0, ran.json["id"])
    finally:
        worker.terminate()
        worker.communicate(timeout=SECONDS)


# keys


def test_keys_live_and_end(posthouse: Shell) -> None:
    made = posthouse("keys", "create", "shop", "--scope", "send", "--scope", "logs")
    assert made.code == 0
    assert made.json["key"].startswith(f"ph_{made.json['id']}_")
    short = posthouse("keys", "create", "short", "--scope", "admin", "--expires", "0s")
    listed = posthouse("keys", "list").json
    assert [(key["name"], key["scopes"], key["state"]) for key in listed] == [
        ("shop", ["send", "logs"], "live"),
        ("short", ["admin"], "expired"),
    ]
    for secret in (made.json["key"], short.json["key"]):
        assert secret not in json.dumps(listed)
        for path in posthouse.folder.glob("posthouse.db*"):
            assert secret.encode() not in path.read_bytes()
    assert posthouse("keys", "revoke", "shop").code == 0
    assert posthouse("keys", "list").json[0]["state"] == "revoked"
    assert posthouse("keys", "revoke", "shop").code == 1
    assert posthouse("keys", "revoke", "nobody").code == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--scope", "everything"], "--scope"), (["--scope", "send", "--expires", "soon"], "--expires")],
)
def test_a_key_that_cannot_be(posthouse: Shell, arguments: list[str], word: str) -> None:
    one_line(posthouse("keys", "create", "x", *arguments), 2, word)
    assert posthouse("keys", "list").json == []


# what goes wrong


def test_wrong_settings_are_named_each_in_a_line_and_never_repeated(posthouse: Shell) -> None:
    ran = posthouse("status", lease="a-lease", api_key="a-secret")
    assert (ran.code, ran.out) == (2, "")
    lines = ran.err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["posthouse", "POSTHOUSE_LEASE"],
        ["posthouse", "POSTHOUSE_API_KEY"],
    ]
    assert "a-lease" not in ran.err
    assert "a-secret" not in ran.err


def test_an_unknown_setting_is_a_warning(posthouse: Shell) -> None:
    ran = posthouse("status", atempts="3")
    assert ran.code == 0
    assert ran.err == (
        "posthouse: warning: POSTHOUSE_ATEMPTS is not a setting of this version;"
        " did you mean POSTHOUSE_ATTEMPTS?\n"
    )


@pytest.mark.parametrize(
    ("store", "code"),
    [
        ("nosuch://x", 2),
        ("sqlite:nothing", 2),
        ("sqlite:////dev/null/posthouse.db", 1),
        ("sqlite:////dev/full", 1),
    ],
)
def test_a_store_that_cannot_be_used(posthouse: Shell, store: str, code: int) -> None:
    one_line(posthouse("status", store=store), code)


def test_a_store_of_a_newer_version(posthouse: Shell) -> None:
    assert posthouse("migrate").code == 0
    with sqlite3.connect(posthouse.folder / "posthouse.db") as connection:
        connection.execute("INSERT INTO migrations VALUES (99, '0099_later', 'x', '2030')")
    connection.close()
    one_line(posthouse("status"), 2, "newer")


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:1", 1), ("nonsense", 2), ("http://", 1)])
def test_a_posthouse_that_does_not_answer(posthouse: Shell, url: str, code: int) -> None:
    one_line(posthouse("logs", "--url", url, "--key", "k"), code, url)


def test_something_else_that_answers(posthouse: Shell) -> None:
    """A server that speaks another protocol, such as SMTP."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        pool.submit(greet, server)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        one_line(posthouse("logs", "--url", url, "--key", "k"), 1, url)


def greet(server: socket.socket) -> None:
    """As SMTP servers do."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"220 mail.example ESMTP\r\n")
        connection.recv(65_536)


def test_unknown_roles(posthouse: Shell) -> None:
    one_line(posthouse("serve", "--roles", "api,postman"), 2, "--roles")


def test_as_a_command_of_its_own(posthouse: Shell) -> None:
    """What the shell sees: the exit code, JSON on stdout, complaints on stderr."""
    good, bad = posthouse.start("status"), posthouse.start("status", lease="x")
    out, err = good.communicate(timeout=SECONDS)
    assert (good.returncode, json.loads(out)["waiting"], err) == (0, 0, "")
    out, err = bad.communicate(timeout=SECONDS)
    assert (bad.returncode, out) == (2, "")
    assert err.startswith("posthouse: POSTHOUSE_LEASE: ")


def test_an_unknown_command(posthouse: Shell) -> None:
    ran = posthouse("deliver")
    assert ran.code != 0
    assert "Traceback" not in ran.err + ran.out
