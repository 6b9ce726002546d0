"""Tables as CSV: in whatever pieces they come they are the same, what is wrong costs its own line, and cells are harmless."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.csv_file import (
    FORMULA,
    MOST,
    NO_CSV,
    NO_UTF8,
    BadFile,
    Feed,
    Row,
    column_names,
    csv_text,
    harmless,
    plain,
)

cells = st.text(st.sampled_from("ab\"\n\r,=+' é"), max_size=6)


def feed(*pieces: str) -> list[Row]:
    made = Feed(lambda row: column_names(row, ("email", "note"), "email"))
    rows = [row for piece in pieces for row in made.take(piece)]
    return rows + list(made.take("", last=True))


@given(
    st.lists(st.tuples(cells.map("x{}".format), cells), max_size=6), st.lists(st.integers(0, 80), max_size=5)
)
def test_in_any_pieces_it_is_the_same_table(table: list[tuple[str, str]], cuts: list[int]) -> None:
    text = csv_text([("email", "note"), *table])
    places = sorted(min(cut, len(text)) for cut in cuts)
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    read = [list((row.cells or {}).values()) for row in feed(*pieces)]
    assert read == [[plain(a), plain(b)] for a, b in csv.reader(io.StringIO(text, newline=""))][1:]
    assert feed(*pieces) == feed(text)


def test_lines_are_numbered_where_they_begin() -> None:
    rows = feed('email,note\na,1\n"b","two\nlines"\n\nc,3\nd,1,2\n')
    assert [(row.number, bool(row.cells)) for row in rows] == [(2, True), (3, True), (6, True), (7, False)]
    assert rows[-1].fault == "it has 3 cells, and there are 2 columns"


def test_a_line_that_is_wrong_costs_itself() -> None:
    rows = feed('email,note\na,"x"y\n', "b,\udcff\nc,1\n")
    assert [(row.number, row.fault) for row in rows] == [(2, NO_CSV), (3, NO_UTF8), (4, "")]


def test_a_quote_that_nobody_closes_takes_no_memory() -> None:
    made = Feed(lambda row: column_names(row, (), "email"))
    rows = [*made.take('email\n"')]
    for _ in range(40):
        rows += made.take("x" * 10_000 + "\n")
        assert len(made._held) <= MOST + 10_001
    assert {row.fault for row in rows} <= {NO_CSV, ""}


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "it is empty"), ("a,b\n", "no column email"), ("email,Email\n", "twice"), ("email,\n", "none")],
)
def test_a_first_line_that_names_no_columns(text: str, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        feed(text)


@given(st.text(st.sampled_from("'=+-@\t\ra"), max_size=5))
def test_a_harmless_cell_is_read_as_it_was(text: str) -> None:
    assert not harmless(text).startswith(FORMULA)
    assert plain(harmless(text)) == text
