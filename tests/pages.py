"""Reads our own Markdown pages, so that tests can hold them to what the code does."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "ADDING.md",
    "CHANGELOG.md",
    "docs/architecture.md",
    "docs/reference.md",
    "docs/client.md",
    "docs/smtp.md",
    "docs/metrics.md",
    "docs/operations.md",
    "docs/grpc.md",
    "docs/guarantees.md",
)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_FIRST_CELL = re.compile(r"^\| `([^`]+)` \|", re.M)


def blocks(page: str, section: str = "") -> list[tuple[str, str]]:
    """The fenced blocks of a page, or of its `section` alone, in order: language and text."""
    text = (ROOT / page).read_text()
    return _BLOCK.findall(text.partition(f"\n## {section}\n")[2].partition("\n## ")[0] if section else text)


def links(page: str) -> list[Path]:
    """The files that a page links to."""
    return [(ROOT / page).parent / target for target in _LINK.findall((ROOT / page).read_text())]


def rows(page: str, start: str) -> set[str]:
    """The words that stand as code in the first column of a page's tables, those that begin with `start`."""
    return {word for word in _FIRST_CELL.findall((ROOT / page).read_text()) if word.startswith(start)}
