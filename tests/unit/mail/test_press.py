"""A template as written becomes what mails are made of."""

import pytest

from posthouse.mail.press import press
from posthouse.mail.template import BadTemplate, Made, Source

MJML = (
    "<mjml><mj-head><mj-style>.x {color: red}</mj-style></mj-head><mj-body><mj-section><mj-column>"
    '<mj-text css-class="x">{{ town }}</mj-text></mj-column></mj-section></mj-body></mjml>'
)


def test_mjml_becomes_html_with_its_styles_in_place() -> None:
    made = press(Source("S", mjml=MJML))
    assert made.html is not None
    assert "<mj" not in made.html
    assert ";color: red; font-size" in made.html
    assert (made.text, made.derived, made.variables) == ("{{ town }}", True, ("town",))
    assert press(Source("S", "<p>", MJML)).html == "<p>"


def test_a_text_of_its_own_stays() -> None:
    source = Source("S", "<style>p {x: y}</style><p>", text="own\n", defaults={"a": 1})
    assert press(source) == Made("S", '<style>p {x: y}</style><p style="x: y">', "own\n", defaults={"a": 1})
    assert press(source, inline=False).html == source.html


def test_the_variables_it_names() -> None:
    made = press(
        Source(
            "{{ a }} {{ b|default(c) }} {{ email }} {{ name }}",
            "{% if d is defined %}{{ d }}{% endif %}{% for x in xs %}{{ x.y }}{{ loop.index }}{% endfor %}",
            text="{{ e.f }} {{ g }} {{ h|default('x') }} {{ h }} {{ range(3) }} {% set i = 1 %}{{ i }}",
            defaults={"g": 1, "unused": 2},
        )
    )
    assert made.variables == ("a", "b", "c", "d", "e", "g", "h", "xs")
    assert made.required == ("a", "c", "e", "h", "xs")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Source("S"), "one of html, mjml, text is needed"),
        (Source("{{", text="x"), "subject.txt, line 1: it is not valid Jinja2"),
        (Source("S", "a\n{% if %}"), "body.html, line 2: it is not valid Jinja2"),
        (Source("S", mjml="<mjml><mj-body>"), "body.mjml: it is not valid MJML"),
        (Source("S", "{{ " + "-" * 9999 + "x }}"), "body.html: it is too deep or too large"),
    ],
)
def test_what_is_wrong_is_said(source: Source, says: str) -> None:
    with pytest.raises(BadTemplate, match=says):
        press(source)
