"""Contacts in a file: what columns mean, which lines are wrong, and that what is written reads as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.contact_file import ContactFile, Line, write_contacts, write_head
from posthouse.csv_file import BadFile
from posthouse.mail.contact import MAX_ATTRIBUTES, MAX_ROLE, MAX_ROLES, Contact, Entry


def read(text: str) -> list[Line]:
    return list(ContactFile().take(text, last=True))


def test_columns_in_any_order_and_others_are_attributes() -> None:
    (line,) = read("\ufeffName,EMAIL,horse,roles\r\nAnn,ann@EXAMPLE.org,Arion,rider; coach;\r\n")
    assert line == Line(
        2,
        Entry(email="ann@example.org", name="Ann", roles=("coach", "rider"), attributes={"horse": "Arion"}),
    )


def test_an_empty_cell_says_nothing() -> None:
    (line,) = read("email,name,roles,horse,consent_how\na@b.example,,,,\n")
    assert line.entry == Entry(email="a@b.example")


def test_a_wrong_line_is_named_and_the_others_are_good() -> None:
    text = 'email,roles,attributes\na@b.example,x,{}\n\nnobody,x*;*,{}\n"b@ b.example\n",x\nc@b.example,"x\n",1,2\nd@b.example,,[]\n'
    lines = read(text)
    assert [(each.number, each.entry is None, [flaw.field for flaw in each.flaws]) for each in lines] == [
        (2, False, []),
        (4, True, ["email", "roles"]),
        (5, True, ["email"]),
        (7, True, [""]),
        (9, True, ["attributes"]),
    ]
    assert "nobody" not in str(lines[1].flaws)


def test_what_is_no_utf_8_or_no_csv_is_a_wrong_line() -> None:
    data = b'email,name\na@b.example,\xff\nb@b.example,"x" y\nc@b.example,C\n'
    lines = read(data.decode(errors="surrogateescape"))
    assert [each.entry and each.entry.name for each in lines] == [None, None, "C"]


def test_all_that_a_contact_may_have_is_one_line_in_whatever_pieces() -> None:
    roles = tuple(sorted(f"{n:04}".ljust(MAX_ROLE, "x") for n in range(MAX_ROLES)))
    contact = Contact(email="a@b.example", roles=roles, attributes={"x": '"' * (MAX_ATTRIBUTES // 2 - 8)})
    file, lines = ContactFile(), list[Line]()
    text = write_head() + write_contacts([contact])
    for start in range(0, len(text), 9_999):
        lines += file.take(text[start : start + 9_999])
    lines += file.take("", last=True)
    assert [each.entry and (each.entry.roles, each.entry.attributes) for each in lines] == [
        (roles, contact.attributes)
    ]


@pytest.mark.parametrize(
    "text", ["", "name\nAnn\n", "email,email\n", "email,\n", "\n", '"email"x\na@b.example\n']
)
def test_a_file_without_its_columns_is_none(text: str) -> None:
    with pytest.raises(BadFile):
        read(text)


NAMES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20).map(str.strip)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["horse", "n"]), st.one_of(NAMES, st.integers(-9, 9), st.booleans())
)


@given(NAMES, ATTRIBUTES, st.sets(st.sampled_from(["rider", "coach"])))
def test_what_is_written_reads_as_it_was(name: str, attributes: dict[str, object], roles: set[str]) -> None:
    contact = Contact(email="ann@example.org", name=name, attributes=attributes, roles=tuple(sorted(roles)))
    (line,) = read(write_head() + write_contacts([contact]))
    assert line.entry == Entry(
        email="ann@example.org",
        name=name or None,
        attributes=attributes or None,
        roles=contact.roles or None,
    )
