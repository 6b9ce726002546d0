"""Templates: what they may name, what they give, and every way in which one can be wrong."""

from typing import Any

import msgspec
import pytest

from posthouse.mail import template as module
from posthouse.mail.message import Content, Mailbox, Message, Recipient
from posthouse.mail.press import press
from posthouse.mail.template import BadTemplate, Source, is_rendered, render

MESSAGE = Message(id="1", message_id="<1@x.example>", recipients=[Recipient("ann@x.example")])


def asked(variables: dict[str, Any] | None = None, *, name: str = "Ann", subject: str = "") -> Content:
    to = (Mailbox("ann@x.example", name),)
    return Content(
        sender=Mailbox("bob@x.example"), to=to, template="t", variables=variables or {}, subject=subject
    )


def rendered(variables: dict[str, Any] | None = None, subject: str = "S", **source: str) -> Content:
    return render(MESSAGE, asked(variables), press(Source(subject=subject, **source)))


def fault(variables: dict[str, Any] | None = None, **source: str) -> str:
    with pytest.raises(BadTemplate) as raised:
        rendered(variables, **source)
    return raised.value.text


def test_subject_html_and_text_are_made_of_the_variables() -> None:
    content = rendered(
        {"town": "Ulm"}, subject="To {{ town }}\n", html="<p>{{ town }}</p>", text="{{ town }}\n"
    )
    assert (content.subject, content.html, content.text) == ("To Ulm", "<p>Ulm</p>", "Ulm\n")
    assert (content.template, content.variables) == ("t", {"town": "Ulm"})
    assert is_rendered(content)
    assert not is_rendered(asked())


@pytest.mark.parametrize(
    ("name", "said"), [("Ann", "ann@x.example Ann Ann []"), ("", "ann@x.example  ann []")]
)
def test_these_variables_are_always_there(name: str, said: str) -> None:
    source = Source(subject="S", text="{{ email }} {{ name }} {{ userName }} {{ roles }}")
    assert render(MESSAGE, asked(name=name), press(source)).text == said


def test_the_link_to_unsubscribe_is_there_where_the_mail_has_one() -> None:
    made = press(Source(subject="S", html='<a href="{{ unsubscribeUrl }}">leave</a>'))
    assert (made.variables, made.required) == ((), ())
    content = render(MESSAGE, asked(), made, "https://post.example/u/x-Y_z")
    assert content.html == '<a href="https://post.example/u/x-Y_z">leave</a>'
    with pytest.raises(BadTemplate, match="unsubscribeUrl is missing"):
        render(MESSAGE, asked(), made)


def test_the_mails_own_variables_come_first() -> None:
    assert rendered({"userName": "Dr. A"}, text="{{ userName }}").text == "Dr. A"


@pytest.mark.parametrize(
    ("name", "own", "said"),
    [("", {}, "friend Ulm x"), ("Ann", {}, "Ann Ulm x"), ("Ann", {"name": "Bo", "town": ""}, "Bo  x")],
)
def test_defaults_lie_beneath_all_else(name: str, own: dict[str, Any], said: str) -> None:
    source = Source("S", text="{{ name }} {{ town }} {{ nick|default('x') }}")
    made = press(msgspec.structs.replace(source, defaults={"name": "friend", "town": "Ulm", "email": "no"}))
    assert render(MESSAGE, asked(own, name=name), made).text == said


def test_html_is_escaped_and_text_is_not() -> None:
    content = rendered({"x": "<b>&"}, subject="{{ x }}", html="{{ x }}", text="{{ x }}")
    assert (content.subject, content.html, content.text) == ("<b>&", "&lt;b&gt;&amp;", "<b>&")


def test_a_subject_of_its_own_replaces_the_templates_and_is_no_template() -> None:
    content = render(MESSAGE, asked(subject="{{ 1 }}"), press(Source(subject="other", text="x")))
    assert content.subject == "{{ 1 }}"


def test_a_subject_is_one_line_whatever_a_variable_holds() -> None:
    assert rendered({"x": "a\r\nBcc: eve@x.example"}, subject="{{ x }}", text="x").subject == (
        "a Bcc: eve@x.example"
    )


def test_mjml_becomes_html_and_html_goes_before_it() -> None:
    mjml = (
        "<mjml><mj-body><mj-section><mj-column>"
        "<mj-text>{{ x }}</mj-text><mj-raw>{% for n in [1, 2] %}</mj-raw><mj-text>n{{ n }}</mj-text>"
        "<mj-raw>{% endfor %}</mj-raw></mj-column></mj-section></mj-body></mjml>"
    )
    html = rendered({"x": "<b>"}, mjml=mjml).html or ""
    assert "&lt;b&gt;" in html
    assert [f"n{n}" in html for n in (1, 2, 3)] == [True, True, False]
    assert "<table" in html
    assert rendered(mjml=mjml, html="plain").html == "plain"


@pytest.mark.parametrize(
    ("body", "variables", "says"),
    [
        ("a\n{{ order }}", {}, "body.html, line 2: the variable order is missing"),
        ("{{ order.total }}", {"order": {}}, "the variable total is missing"),
        ("{% for x in order %}{% endfor %}", {}, "the variable order is missing"),
        ("{% if order %}{% endif %}", {}, "the variable order is missing"),
        ("{{ order[key] }}", {"order": {}, "key": "a SECRET"}, "the variable of a computed name is missing"),
        ("{{ 'SECRET'|int + 'SECRET' }}", {}, "it cannot be rendered (TypeError)"),
        ("{% include 'body.html' %}", {}, "it cannot be rendered (TypeError)"),
        ("{% if %}", {}, "body.html, line 1: it is not valid Jinja2"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", {}, "(SecurityError)"),
        ("{{ x.append(1) }}", {"x": []}, "(SecurityError)"),
        ("{{ self._TemplateReference__context }}", {}, "body.html, line 1"),
        ("{{ lipsum() }}", {}, "the variable lipsum is missing"),
        ("{{ range(1000000) }}", {}, "(OverflowError)"),
        ("\x00", {}, "html: control characters"),
    ],
)
def test_what_is_wrong_is_said_and_no_value_is(body: str, variables: dict[str, Any], says: str) -> None:
    text = fault(variables, html=body)
    assert says in text
    assert "SECRET" not in text


def test_a_subject_that_comes_to_nothing() -> None:
    assert fault(subject=" {{ '' }}", text="x") == "the template gives no subject"


def test_what_it_gives_is_bounded_over_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    assert rendered(text="x" * 99).text == "x" * 99
    assert "more than 100 characters" in fault(text="x" * 60, html="x" * 60)
    assert "more than 100 characters" in fault(text="{% for n in range(99) %}12{% endfor %}")


def test_mjml_that_is_none() -> None:
    assert fault(mjml="<mjml><mj-body>").startswith("body.mjml: it is not valid MJML")
