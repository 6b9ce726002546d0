"""templates: pushed from folders, tried out, listed, archived; and a mail of one, sent by a worker."""

from pathlib import Path

from tests.unit.cli.shell import Shell, one_line


def written(folder: Path, id: str = "welcome", **files: str) -> Path:
    """A template in the folder `templates`; names of files with an underscore for the point."""
    place = folder / "templates" / id
    place.mkdir(parents=True, exist_ok=True)
    given = {"subject_txt": "To {{ town }}\n", "body_html": "<p>{{ town }} {{ horse }}</p>", **files}
    for name, text in given.items():
        (place / name.replace("_", ".")).write_text(text)
    return folder / "templates"


def test_a_folder_is_pushed_and_what_is_wrong_is_named(posthouse: Shell, tmp_path: Path) -> None:
    folder = written(tmp_path, defaults_json='{"horse": "Arion"}')
    written(tmp_path, "broken", body_html="<p>\n{{ town")
    written(tmp_path, "bad id")
    (folder / "empty").mkdir()
    tried = posthouse("templates", "validate", str(folder))
    pushed = posthouse("templates", "push", str(folder))
    for ran, good in ((tried, "valid"), (pushed, "new")):
        assert ran.code == 1
        results = {each["id"]: each for each in ran.json["items"]}
        assert {id: each["result"] for id, each in results.items()} == {
            "bad id": "wrong",
            "broken": "wrong",
            "empty": "wrong",
            "welcome": good,
        }
        assert "body.html, line 2" in results["broken"]["error"]
        assert results["welcome"]["required"] == ["town"]
    assert [each["id"] for each in posthouse("templates", "list").json["items"]] == ["welcome"]
    for name in ("broken", "bad id", "empty"):
        for path in (folder / name).glob("*"):
            path.unlink()
        (folder / name).rmdir()
    again = posthouse("templates", "push", str(folder))
    assert (again.code, again.json["items"][0]["result"], again.json["items"][0]["version"]) == (
        0,
        "unchanged",
        1,
    )
    assert posthouse("templates", "show", "welcome").json["subject"] == "To {{ town }}"


def test_one_is_previewed_and_archived(posthouse: Shell, tmp_path: Path) -> None:
    posthouse("templates", "push", str(written(tmp_path)))
    given = ["--set", "town=Ulm", "--set", "horse=3"]
    ran = posthouse("templates", "preview", "welcome", *given)
    assert (ran.code, ran.json["subject"], ran.json["text"]) == (0, "To Ulm", "Ulm 3")
    ran = posthouse("templates", "preview", "welcome", "--set", "town=Ulm")
    assert (ran.code, ran.json["missing"]) == (1, ["horse"])
    one_line(posthouse("templates", "preview", "welcome", "--set", "town"), 2, "--set", "name=value")
    one_line(posthouse("templates", "preview", "nobody"), 2, "no template of this name")
    assert posthouse("templates", "usage", "welcome").json["items"] == []
    assert posthouse("templates", "archive", "welcome").code == 0
    one_line(posthouse("templates", "show", "welcome"), 2)
    one_line(posthouse("templates", "push", str(tmp_path / "nowhere")), 2, "no folder")


def test_a_test_is_sent_by_a_worker_from_the_version_that_was_there(working: Shell, tmp_path: Path) -> None:
    working("templates", "push", str(written(tmp_path)))
    ran = working(
        "templates", "test", "welcome", "--to", "ann@example.org", "--set", "town=Ulm", "--set", "horse=B"
    )
    assert ran.code == 0, ran.err
    working("templates", "push", str(written(tmp_path, subject_txt="Changed")))
    sent = working(
        "send",
        "bob@example.org",
        "--subject",
        "Own",
        "--template",
        "welcome",
        "--set",
        "town=Ulm",
        "--set",
        "horse=C",
        "--wait",
    )
    assert (sent.code, sent.json["status"]) == (0, "SENT"), sent.err
    record = working("show", sent.json["id"]).json
    assert (record["subject"], record["text"]) == ("Own", "Ulm C")
    shown = working("show", ran.json["id"]).json
    assert (shown["state"], shown["subject"], shown["html"]) == ("sent", "To Ulm", "<p>Ulm B</p>")
