"""CSS goes into the tags of a template, which stays as it was written otherwise."""

import pytest

from posthouse.mail.inline import inline_css


@pytest.mark.parametrize(
    ("rules", "tag", "inlined"),
    [
        ("p {color: red}", "<p>", '<p style="color: red">'),
        ("p {color: red}", "<P id=x>", '<P style="color: red" id=x>'),
        (".a, br {margin: 0}", "<br class='a'/>", "<br style=\"margin: 0\" class='a'/>"),
        ("p {color: red}", '<p style="color: blue">', '<p style="color: red; color: blue">'),
        (
            "p {color: red}",
            "<p style='font: \"A B\"' id=x>",
            '<p style="color: red; font: &quot;A B&quot;" id=x>',
        ),
        ("p {color: red}", "<p style=x:y>", '<p style="color: red; x:y">'),
        ("p {color: red}", '<p title="a style=b">', '<p style="color: red" title="a style=b">'),
        ("p {color: red}", '<p title="a>b" >', '<p style="color: red" title="a>b" >'),
        ("p {color: {{ color }}}", "<p>", '<p style="color: {{ color }}">'),
        ("p {width: {{ w }}px}", "<p>", '<p style="width: {{ w }}px">'),
        (
            "p {x: y}",
            """<p style='{% if a < "b" %}c: d{% endif %}'>""",
            """<p style="x: y; {% if a < "b" %}c: d{% endif %}">""",
        ),
        ("p {x: y}", '<p {% if a > b %}class="{{ c }}"{% endif %}>', None),
        ("p {x: y}", '<p class="{{ a|default("b") }}">', None),
        ("b {x: y}", "<p>", "<p>"),
        ("p:hover {x: y} @media print {p {x: y}}", "<p>", "<p>"),
        ("{% if a %}p {x: y}{% endif %}", "<p>", "<p>"),
        ("p {font: 'A B'}", "<p>", "<p style=\"font: 'A B'\">"),
    ],
)
def test_a_tag_gets_what_the_rules_say(rules: str, tag: str, inlined: str | None) -> None:
    page = "<!doctype html>\n<html><head><style>%s</style></head>\n<body>%s{{ a }} &amp; {# no #} b</body></html>"
    inlined = inlined or tag.replace("<p", '<p style="x: y"', 1)
    assert inline_css(page % (rules, tag)) == page % (rules, inlined)


def test_rows_that_a_loop_makes_are_rows() -> None:
    """A reader of HTML moves text out of a table: it must not take the loop with it."""
    page = "<style>td {x: y}</style><table>{% for a in b %}<tr><td>{{ a }}</td></tr>{% endfor %}</table>"
    assert inline_css(page) == page.replace("<td>", '<td style="x: y">')


@pytest.mark.parametrize(
    "hidden", ["<!-- <p> -->", "<title><p></title>", "<textarea><p></textarea>", "{# <p> #}"]
)
def test_what_is_no_tag_is_left_alone(hidden: str) -> None:
    page = f"<style>p {{x: y}}</style>{hidden}<p>"
    assert inline_css(page) == page.removesuffix("<p>") + '<p style="x: y">'


def test_without_styles_nothing_is_read() -> None:
    page = "<p {% if a %}>{% endif %}<b"
    assert inline_css(page) == page


def test_nothing_is_loaded_from_anywhere() -> None:
    page = '<link rel="stylesheet" href="file:///etc/passwd"><style>@import "http://127.0.0.1:1/a.css"; p {x: y}</style><p>'
    assert inline_css(page) == page.removesuffix("<p>") + '<p style="x: y">'
