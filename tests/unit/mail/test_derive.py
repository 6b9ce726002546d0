"""The text of a template, derived once, gives what each mail's html would have given."""

from typing import Any

import pytest

from posthouse.mail.derive import derive_text
from posthouse.mail.message import Content, Mailbox, Message, Recipient
from posthouse.mail.plain import text_of
from posthouse.mail.press import press
from posthouse.mail.template import Source, render

KNOWN: dict[str, Any] = {
    "who": "Ann <Bo> & Co",
    "items": ["a", "b", "c"],
    "yes": True,
    "no": False,
    "url": "https://x.example/?a=1&b=2",
    "host": "h.example",
}
MESSAGE = Message(id="1", message_id="<1@x.example>", recipients=[Recipient("ann@x.example")])
ASKED = Content(
    sender=Mailbox("bob@x.example"), to=(Mailbox("ann@x.example"),), template="t", variables=KNOWN
)


@pytest.mark.parametrize(
    "html",
    [
        "<h1>Hi {{ who }}</h1><p>The host: {{ host }}</p>",
        "<ul>{% for i in items %}<li>{{ i }}</li>{% endfor %}</ul><p>End</p>",
        "<ul>\n  {% for i in items %}\n  <li>{{ i }}</li>\n  {% endfor %}\n</ul>\n<p>End</p>\n",
        "<p>Zero</p>{% for i in items %}<p>{{ i }}</p>{% endfor %}<p>End</p>",
        "<p>Zero</p>{% if yes %}<p>One</p>{% endif %}<p>Two</p>",
        "<p>Zero</p>{% if no %}<p>One</p>{% endif %}<p>Two</p>",
        "<p>Zero</p>{% if no %}<p>One</p>{% else %}<p>Other</p>{% endif %}<p>Two</p>",
        "<p>Zero</p>{% if no %}<p>One</p>{% endif %}",
        "<p>Zero</p>{% if yes %}{% if yes %}<p>One</p>{% endif %}{% endif %}<p>Two</p>",
        "A{% if yes %}<br>B{% endif %}<br>C",
        "<p>Dear {% if yes %}Mr {% endif %}{{ who }},</p>",
        '<a href="{{ url }}">{{ url }}</a> <a href="{{ url }}">here</a> <a href="https://{{ host }}/x">there</a>',
        "<table>{% for i in items %}<tr {% if loop.first %}class=a{% endif %}><td>{{ i }}</td><td>x</td></tr>"
        "{% endfor %}</table>bye",
        '<style>a {b: c}</style><title>{{ who }}</title><p>{{ nobody|default("x <y>") }} &amp; {{ who }}</p>{# c #}',
        "{% set a = 1 %}<p>{{ a }}</p>",
        '<img src="{{ url }}" alt="{{ who }}">',
        "{% macro row(a) %}<p>{{ a }}</p>{% endmacro %}{{ row(1) }}{{ row(who) }}",
        "<pre>a\n  {{ host }}</pre>",
    ],
)
def test_it_gives_what_is_read_in_the_html(html: str) -> None:
    made = press(Source("S", html))
    assert made.derived
    rendered = render(MESSAGE, ASKED, made)
    assert rendered.html is not None
    assert rendered.text == text_of(rendered.html)


@pytest.mark.parametrize(
    "html",
    [
        "<p>{{ who|safe }}</p>",
        "<p>{{ who|e }}</p>",
        "<td {% set a = 1 %}>{{ a }}</td>",
        "<style>{% set a = 1 %}</style>{{ a }}",
        "&#123;&#123; who }}",
        "{% raw %}{{ who }}{% endraw %}",
        "<p></p>",
        "<p>x</p>" * 100_000,
    ],
)
def test_where_it_is_not_certain_there_is_none(html: str) -> None:
    assert derive_text(html) is None


def test_one_that_fails_is_left_to_the_mail() -> None:
    made = press(Source("S", "<p>{{ who }}</p>"))
    broken = type(made)("S", made.html, "{{ nobody }}", derived=True)
    rendered = render(MESSAGE, ASKED, broken)
    assert (rendered.html, rendered.text) == ("<p>Ann &lt;Bo&gt; &amp; Co</p>", None)
