"""The table in docs/guarantees.md is that of the matrix as it is: a cell that came must be printed again."""

from tests.crash.matrix import cells
from tests.crash.page import read
from tests.crash.table import words
from tests.pages import ROOT

FOUND = read((ROOT / "docs/guarantees.md").read_text())


def test_each_cell_has_its_row() -> None:
    assert [*FOUND] == [words(cell) for cell in cells()]


def test_what_stands_there_keeps_the_promise() -> None:
    for cell in cells():
        books = FOUND[words(cell)]
        assert books.accepted > 0, cell
        assert books.lost == 0, cell
        assert books.doubled <= min(cell.most_doubled, books.unknown), cell
