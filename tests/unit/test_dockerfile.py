"""The Dockerfile fits the project: there is no daemon to build it with, so it is read."""

import json
import re
from fnmatch import fnmatchcase

import pytest

from posthouse.config import PREFIX, Settings
from tests.pages import ROOT

TEXT = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
STEPS = [tuple(line.split(None, 1)) for line in TEXT.splitlines() if line and not line.startswith("#")]


def given(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def test_every_step_is_an_instruction() -> None:
    known = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in STEPS} <= known | {"STOPSIGNAL", "ENTRYPOINT"}


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules[0] == "*", "nothing goes in that is not named"
    sources = [each for rest in given("COPY") if "--from" not in rest for each in rest.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in rules, source


def test_whoever_builds_finds_what_hatchling_wants() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    copied = " ".join(given("COPY"))
    for name in re.findall(r'^(?:readme|license-files) = .*?"([^"]+)"', project, re.M):
        assert name in copied
    assert "uv.lock" in copied


def test_both_stages_have_the_same_python_and_the_makefile_s_uv() -> None:
    stages = [rest.split()[0] for rest in given("FROM")]
    assert len(stages) == 2
    assert len(set(stages)) == 1
    assert not any(fnmatchcase(stage, "*latest") or ":" not in stage for stage in stages)
    version = re.search(r"UV_VERSION := (\S+)", (ROOT / "Makefile").read_text())
    assert version
    assert f"uv=={version[1]}" in TEXT


def test_it_runs_without_rights_in_its_volume() -> None:
    last = TEXT[TEXT.rindex("FROM ") :]
    user = re.search(r"^USER (\d+)$", last, re.M)
    assert user
    assert int(user[1]) > 0
    assert f"--uid {user[1]}" in last
    (volume,) = given("VOLUME")
    assert f"POSTHOUSE_STATE_DIR={volume}/" in last
    assert f"POSTHOUSE_STORE=sqlite:///{volume}/" in last
    assert last.index("USER ") < last.index("VOLUME "), "the volume belongs to its user"


def test_its_settings_are_settings() -> None:
    named = set(re.findall(rf"\b{PREFIX}(\w+)=", " ".join(given("ENV"))))
    assert named
    assert {name.lower() for name in named} <= set(Settings.__struct_encode_fields__)


@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "CMD"])
def test_it_starts_posthouse_itself(instruction: str) -> None:
    """As a list: a shell in between would keep SIGTERM from it."""
    (rest,) = given(instruction)
    assert json.loads(rest) in (["posthouse"], ["serve"])


def test_the_health_check_is_a_program() -> None:
    (rest,) = given("HEALTHCHECK")
    command = json.loads(rest.split("CMD", 1)[1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert "/readyz" in command[2]
