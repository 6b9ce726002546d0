"""suppressions and trail: put on the list, listed, taken off, read from a file and written as one; and who did it."""

from pathlib import Path

import pytest

from posthouse import terminal
from tests.unit.cli.shell import Shell, one_line

FILE = """email,reason,lane
ann@example.org,unsubscribed,bulk
nobody,,
ben@example.org,550 gone,
"""


def emails(posthouse: Shell, *arguments: str) -> list[str]:
    ran = posthouse("suppressions", "list", *arguments)
    assert ran.code == 0, ran.err
    return sorted(each["email"] for each in ran.json["items"])


def test_whoever_is_put_on_the_list_is_on_it_until_taken_off(posthouse: Shell) -> None:
    ran = posthouse(
        "suppressions", "add", "ann@example.org", "ben@example.org", "--note", "rang", "--lane", "bulk"
    )
    assert (ran.code, ran.json) == (0, {"added": 2, "unchanged": 0})
    posthouse("suppressions", "add", "cat@example.org", "--reason", "bounced", "--expires", "90d")
    assert emails(posthouse) == ["ann@example.org", "ben@example.org", "cat@example.org"]
    assert emails(posthouse, "--email", "ANN@example.org") == ["ann@example.org"]
    assert emails(posthouse, "--reason", "bounced") == ["cat@example.org"]
    id = posthouse.send("--lane", "bulk")
    assert posthouse("show", id).json["state"] == "suppressed"
    assert posthouse("suppressions", "remove", "ann@example.org", "--lane", "transactional").code == 1
    ran = posthouse("suppressions", "remove", "ann@example.org", "ben@example.org", "dan@example.org")
    assert (ran.code, ran.out.count("is off the list"), ran.out.count("was not on")) == (1, 2, 1)
    assert emails(posthouse) == ["cat@example.org"]
    acts = posthouse("trail", "--about", "suppression:ann@example.org").json["items"]
    assert [each["act"] for each in acts] == ["unsuppressed", "suppressed"]
    assert all(each["by"].endswith("at the command line") for each in acts)
    assert len(posthouse("trail", "--limit", "2").json["items"]) == 2


def test_a_file_is_read_and_what_is_wrong_is_named(posthouse: Shell, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(FILE)
    ran = posthouse("suppressions", "import", "list.csv", "--lane", "transactional")
    assert (ran.code, ran.json) == (
        1,
        {
            "added": 2,
            "unchanged": 0,
            "wrong": 1,
            "errors": [{"line": 3, "column": "email", "error": "an address needs an @"}],
        },
    )
    entries = posthouse("suppressions", "list").json["items"]
    assert {(each["email"], each["lane"], each["reason"], each["note"]) for each in entries} == {
        ("ann@example.org", "bulk", "unsubscribed", ""),
        ("ben@example.org", "transactional", "imported", "550 gone"),
    }


def test_what_is_written_is_read_again(posthouse: Shell, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(FILE.replace("nobody,,\n", ""))
    posthouse("suppressions", "import", "list.csv")
    out = posthouse("suppressions", "export").out
    assert out.startswith("email,lane,reason,note,expires_at,created_at,created_by\r\n")
    posthouse("suppressions", "remove", "ann@example.org")
    again = posthouse("suppressions", "import", "-", stdin=out)
    assert (again.code, again.json["added"], again.json["unchanged"]) == (0, 1, 1)
    assert posthouse("suppressions", "export", "--reason", "bounced").out.count("\n") == 1


def test_more_lines_than_one_request_takes(posthouse: Shell) -> None:
    lines = "".join(f"user{n}@example.org\n" for n in range(1_201))
    ran = posthouse("suppressions", "import", "-", stdin=f"email\n{lines}")
    assert (ran.code, ran.json["added"]) == (0, 1_201)
    assert posthouse("suppressions", "export").out.count("\n") == 1_202


def test_what_is_wrong_is_said(posthouse: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name\nAnn\n")
    one_line(posthouse("suppressions", "import", "a.csv"), 2, "no column email")
    one_line(posthouse("suppressions", "import", "b.csv"), 2, "No such file")
    one_line(posthouse("suppressions", "add", "ann@example.org", "--expires", "soon"), 2, "--expires")
    refused = posthouse("suppressions", "add", "nobody")
    assert (refused.code, "/suppressions/0/email" in refused.err) == (2, True)


def test_a_person_sees_tables(posthouse: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    posthouse("suppressions", "add", "ann@example.org", "ben@example.org", "--note", "rang")
    shown = posthouse("suppressions", "list", "--limit", "1").out
    assert ("rang" in shown, "more: --cursor" in shown) == (True, True)
    assert "suppression:ann@example.org" in posthouse("trail").out
