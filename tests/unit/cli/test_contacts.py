"""contacts: read from a file with what is wrong in it named, listed, written as a file, forgotten."""

from pathlib import Path

from tests.unit.cli.shell import Shell, one_line

FILE = """email,name,roles,horse
ann@example.org,Ann,rider;coach,Arion
nobody,,rider,
ben@example.org,Ben,rider,Bayard
"""


def test_a_file_is_read_and_what_is_wrong_is_named(posthouse: Shell, tmp_path: Path) -> None:
    (tmp_path / "riders.csv").write_text(FILE)
    tried = posthouse("contacts", "import", "riders.csv", "--dry-run")
    assert (tried.code, tried.json["created"], tried.json["dryRun"]) == (1, 2, True)
    assert posthouse("contacts", "list").json["items"] == []
    ran = posthouse("contacts", "import", "riders.csv")
    assert (ran.code, ran.json["created"], ran.json["wrong"]) == (1, 2, 1)
    assert ran.json["errors"] == [{"line": 3, "column": "email", "error": "an address needs an @"}]
    assert posthouse("contacts", "show", "ANN@example.org").json["attributes"] == {"horse": "Arion"}
    assert [each["email"] for each in posthouse("contacts", "list", "--role", "coach").json["items"]] == [
        "ann@example.org"
    ]
    assert [(each["role"], each["count"]) for each in posthouse("contacts", "roles").json["items"]] == [
        ("coach", 1),
        ("rider", 2),
    ]


def test_what_is_written_is_read_again(posthouse: Shell, tmp_path: Path) -> None:
    (tmp_path / "riders.csv").write_text(FILE.replace("nobody,,rider,\n", ""))
    assert posthouse("contacts", "import", "riders.csv").code == 0
    out = posthouse("contacts", "export").out
    again = posthouse("contacts", "import", "-", "--how", "replace", stdin=out)
    assert (again.code, again.json["unchanged"]) == (0, 2)
    assert posthouse("contacts", "remove", "ben@example.org").code == 0
    one_line(posthouse("contacts", "show", "ben@example.org"), 2, "no contact")


def test_more_lines_than_one_request_takes(posthouse: Shell) -> None:
    lines = "".join(f"user{n}@example.org,rider\n" for n in range(1_201))
    ran = posthouse("contacts", "import", "-", stdin=f"email,roles\n{lines}")
    assert (ran.code, ran.json["created"]) == (0, 1_201)


def test_octets_on_standard_input_that_are_no_utf_8_are_a_wrong_line(posthouse: Shell) -> None:
    ran = posthouse("contacts", "import", "-", stdin=b"email,name\na@b.example,\xff\nb@b.example,Ben\n")
    assert (ran.code, ran.json["created"]) == (1, 1)
    assert ran.json["errors"] == [{"line": 2, "column": "", "error": "it is not UTF-8"}]


def test_what_is_no_such_file(posthouse: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name\nAnn\n")
    one_line(posthouse("contacts", "import", "a.csv"), 2, "no column email")
    one_line(posthouse("contacts", "import", "b.csv"), 2, "No such file")
