"""Mails of one template: quicker, and the same to the byte."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.errors import MailError
from posthouse.mail.message import Attachment, Content, Mailbox, Message
from posthouse.mail.mime import write
from posthouse.mail.press import press
from posthouse.mail.series import write_filled
from posthouse.mail.stretch import part_of
from posthouse.mail.template import Made, Source, fill, render

MESSAGE = Message(
    id="0199c7f2", message_id="<0199c7f2@x.example>", created_at=1_760_000_000_000_000, recipients=[]
)
LINK = "https://post.example/u/x-Y_z"
WORDS = st.text(alphabet=st.sampled_from("ab .=-_<&'\"\n\r\t\x07\x7fé€\xa0\u2028😀\ud800"), max_size=12)
LINES = st.one_of(
    WORDS,
    st.sampled_from(
        (
            "From here",
            ".",
            "..",
            "--=_x",
            " ",
            "a " * 500,
            "x" * 75,
            "x" * 76,
            "x" * 77,
            "é" * 30,
            "a=b ",
            "\n",
            "\n\n\n",
        )
    ),
)
TEXTS = st.lists(st.one_of(LINES, st.sampled_from(("{{ a }}", "{{ b }}", "{% if a %}", "{% endif %}", "\n"))))


def content(variables: dict[str, Any], **more: Any) -> Content:
    to = (Mailbox("ann@x.example", "Ann"),)
    return Content(sender=Mailbox("bob@x.example"), to=to, template="t", variables=variables, **more)


def both(made: Made, mail: Content) -> tuple[bytes | str, bytes | str]:
    """The mail as it is made in one go, and step by step; or what is wrong with it."""
    ways = (
        lambda: write_filled(MESSAGE, mail, fill(MESSAGE, mail, made, LINK), LINK),
        lambda: write(MESSAGE, render(MESSAGE, mail, made, LINK), LINK),
    )
    made_by: list[bytes | str] = []
    for way in ways:
        try:
            made_by.append(way())
        except MailError as error:
            made_by.append(error.text)
    return made_by[0], made_by[1]


@given(html=st.none() | TEXTS, text=st.none() | TEXTS, a=LINES, b=WORDS)
def test_it_is_the_same_mail_to_the_byte(
    html: list[str] | None, text: list[str] | None, a: str, b: str
) -> None:
    parts = {name: None if part is None else "".join(part) for name, part in (("html", html), ("text", text))}
    made = Made(subject="To {{ b }}", **parts)
    for variables in ({"a": a, "b": b}, {"a": "Ann", "b": "Ulm"}):
        quick, slow = both(made, content(variables))
        assert quick == slow


@pytest.mark.parametrize("name", ["Ann", "Zoë", "<b>", "Ann\n\nB", "", "\xa0", "x" * 990])
@pytest.mark.parametrize("source", [
    Source(subject="S", html="<p>Dear {{ name }},</p>\n<p>we write\nto you.</p>\n"),
    Source(subject="S", html="<p>Dear {{ name }},</p>\n<p>f\u00fcr 5 \u20ac:</p>\n" + "<p>{{ a }}</p>\n" * 3),
    Source(subject="S", text="{{ name }}\n.\nFrom us\n{% for n in [1, 2] %}{{ n }}\n{% endfor %}\n\n\n\nBye \n"),
    Source(subject="S", html="{{ name }}", text="\n\n"),
])  # fmt: skip
def test_templates_as_they_are_pressed(source: Source, name: str) -> None:
    made = press(source)
    mail = content({"name": name, "a": "1"})
    quick, slow = both(made, mail)
    assert quick == slow


def test_what_is_constant_is_encoded_once_and_what_is_not_is_escaped_once() -> None:
    made = press(
        Source(subject="S", html="<p>Dear {{ name }},</p>\n<p>we write.</p>\n", text="{{ name }}\n\u00fc\n")
    )
    filled = fill(MESSAGE, content({"name": "<Ann> & Co"}), made)
    assert filled.html is not None and filled.text is not None
    html = part_of("html", filled.html.pieces, filled.html.known)
    assert html is not None and html[1] == [b"<p>Dear &lt;Ann&gt; &amp; Co,</p>\r\n<p>we write.</p>\r\n"[:-2]]
    text = part_of("plain", filled.text.pieces, filled.text.known)
    assert text is not None and text[1] == [b"<Ann> & Co\r\n=C3=BC\r\n"]


def test_files_go_with_it() -> None:
    made = Made(subject="S", html="<p>{{ a }}</p>\n")
    quick, slow = both(made, content({"a": "1"}, attachments=(Attachment("a.txt", b"A"),)))
    assert quick == slow and b"a.txt" in bytes(quick)
