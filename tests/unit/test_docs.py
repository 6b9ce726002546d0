"""The documents say what the code does."""

import ast
import importlib
import re
import subprocess
import sys

import pytest

from tests.pages import PAGES, ROOT, blocks, links, rows


@pytest.mark.parametrize("script", ["diagram.py", "faults.py"])
def test_what_a_script_writes_into_a_page_is_up_to_date(script: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_setting_is_documented_and_nothing_else() -> None:
    from posthouse.config import Settings

    known = {f"POSTHOUSE_{name.upper()}" for name in Settings.__struct_encode_fields__}
    assert rows("docs/reference.md", "POSTHOUSE_") == known


def test_every_command_is_documented_and_nothing_else() -> None:
    from posthouse.cli import app

    known = {f"posthouse {name}" for name in app if not name.startswith("-")}
    assert rows("docs/reference.md", "posthouse ") == known


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    assert [str(path) for path in links(page) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_is_named_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`make ([a-z]+)`", text)) | set(
        re.findall(r"^(?:\S+ )?make ([a-z]+)$", text, re.M)
    )
    assert named <= targets


def test_the_example_in_adding_names_what_is_there() -> None:
    examples = [body for language, body in blocks("ADDING.md") if language == "python"]
    imports = [node for body in examples for node in ast.parse(body).body if isinstance(node, ast.ImportFrom)]
    assert imports
    for each in imports:
        module = importlib.import_module(str(each.module))
        assert [alias.name for alias in each.names if not hasattr(module, alias.name)] == []
