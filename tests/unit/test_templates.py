"""The folder of templates: found by id, read again when it changes, and never left."""

from pathlib import Path

import pytest

from posthouse.mail.template import BadTemplate, Source
from posthouse.templates import MOST_BYTES, TemplateFolder


def write(folder: Path, id: str, **files: str) -> Path:
    place = folder / id
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return place


def test_its_files_are_its_parts(tmp_path: Path) -> None:
    write(tmp_path, "welcome", subject_txt="Grüße", body_html="<p>", body_mjml="<mjml>", body_txt="x")
    assert TemplateFolder(tmp_path).find("welcome") == Source("Grüße", "<p>", "<mjml>", "x")


def test_defaults_lie_beside_them(tmp_path: Path) -> None:
    place = write(tmp_path, "welcome", body_txt="x", defaults_json='{"town": "Ulm"}')
    assert TemplateFolder(tmp_path).find("welcome") == Source(text="x", defaults={"town": "Ulm"})
    for wrong in ("[1]", "{", '{"a": NaN}'):
        (place / "defaults.json").write_text(wrong)
        with pytest.raises(BadTemplate, match=r"defaults\.json: it is not a JSON object"):
            TemplateFolder(tmp_path).find("welcome")


def test_without_a_body_it_is_none(tmp_path: Path) -> None:
    write(tmp_path, "welcome", subject_txt="x")
    folder = TemplateFolder(tmp_path)
    assert folder.find("welcome") is None
    assert folder.find("other") is None
    write(tmp_path, "welcome", body_txt="x")
    assert folder.find("welcome") == Source("x", text="x")


def test_it_is_read_again_when_it_changed_and_only_then(tmp_path: Path) -> None:
    place = write(tmp_path, "welcome", body_txt="one")
    folder = TemplateFolder(tmp_path)
    first = folder.find("welcome")
    assert folder.find("welcome") is first
    (place / "new").write_text("two")
    (place / "new").replace(place / "body.txt")
    assert folder.find("welcome") == Source(text="two")
    (place / "body.txt").unlink()
    assert folder.find("welcome") is None


@pytest.mark.parametrize(
    "id", ["", ".", "..", "../secret", "a/../../secret", "/etc", "a\x00", ".hidden", "a" * 129]
)
def test_no_id_leads_out_of_the_folder(tmp_path: Path, id: str) -> None:
    write(tmp_path, "secret", body_txt="x")
    write(tmp_path, "inside/a", body_txt="x")
    assert TemplateFolder(tmp_path / "inside").find(id) is None


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    folder = TemplateFolder(tmp_path)
    (write(tmp_path, "latin") / "body.txt").write_bytes(b"\xe4")
    with pytest.raises(BadTemplate, match=r"body\.txt: it is not UTF-8"):
        folder.find("latin")
    write(tmp_path, "large", body_html="x" * (MOST_BYTES + 1))
    with pytest.raises(BadTemplate, match=r"body\.html: it is larger"):
        folder.find("large")
    (write(tmp_path, "folder") / "body.txt").mkdir()
    with pytest.raises(BadTemplate, match="cannot be read"):
        folder.find("folder")
