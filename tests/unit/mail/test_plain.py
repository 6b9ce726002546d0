import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.plain import CUT, LIMIT, looks_like_html, text_of


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("just text", "just text"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<h1>Head</h1>\n<p>a\n   b <b>c</b>d</p>", "Head\n\na b cd"),
        ("a<br>b<br/>c<BR />d", "a\nb\nc\nd"),
        ("a<br><br><br>b", "a\n\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<DIV CLASS=x>a</DIV>b", "a\nb"),
        ("<p\nclass=x>a</p\n>b", "a\n\nb"),
        ("a<hr>b", "a\n\n---\n\nb"),
        ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>d", "- a\n- b\n  - c\n\nd"),
        ("<ol><li><p>a</p></li><li>b</li></ol>", "- a\n\n- b"),
        ("<table><tr><td>a</td> <td> b</td></tr><tr><th>c<th>d</table>", "a  b\nc  d"),
        ("<table><tr><td></td><td>a</td></tr></table>", "a"),
        ('<a href="https://x.org/?a=1&amp;b=2">there</a>.', "there (https://x.org/?a=1&b=2)."),
        ("<p><a href='https://x.org/'>https://x.org/</a></p>", "https://x.org/"),
        ("<p>a</p><a href=https://x.org>x.org</a>", "a\n\nx.org"),
        ('<a href="mailto:a@x.org">a@x.org</a> <a href="mailto:b@x.org">Bob</a>', "a@x.org Bob (b@x.org)"),
        ('<a href="#top">up</a> <a href="javascript:x()">run</a> <a name="n">n</a>', "up run n"),
        ('<a href="https://x.org"><img src="l.png" alt="Logo"></a>', "Logo (https://x.org)"),
        ('<a href="https://x.org"><img src="l.png"></a>', "https://x.org"),
        ('<a href="https://x.org">open <p>end', "open\n\nend (https://x.org)"),
        ('<a title="a > b" href="https://x.org">t</a> <img alt="1 > 0">', "t (https://x.org) 1 > 0"),
        ("<title>T</title><style>p > a{}</style><script>if (a<b) x()</script>a", "a"),
        ("a<SCRIPT>x</Script >b<style>never closed", "ab"),
        ("a<!-- <p>x</p> --> b<!--[if mso]><p>no</p><![endif]-->c", "a bc"),
        ("<!--[if !mso]><!-->shown<!--<![endif]-->", "shown"),
        ("a<!-- never closed", "a"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &amp;lt; &euro;&#8364;&#x20AC;&nbsp;x", "1 < 2 && 3 > 2 &lt; €€€ x"),
        ("a < b and <3 and a<", "a < b and <3 and a<"),
        ("<pre>\n  a\n    b\tc\n</pre>d", "a\n    b    c\n\nd"),
        ("<p>x</p><pre>  a\r\n   b</pre>", "x\n\n  a\n   b"),
        ('<div style="display:none">Pre' + "&#847;&zwnj;&nbsp;" * 30 + "</div><p>a</p>", "Pre\n\na"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("&#0;&#1;a&#xD800;", "\ufffda\ufffd"),
        ("<b <i>a</i>", "a"),
        ("a<p", "a"),
    ],
)
def test_reads_a_page(html: str, text: str) -> None:
    assert text_of(html) == text


def test_reads_only_so_much() -> None:
    text = text_of("word " * LIMIT)
    assert text.endswith(CUT)
    assert len(text) <= LIMIT + len(CUT)


@pytest.mark.parametrize(
    "piece",
    [
        "<div>",
        "<a href=http://x><b>",
        "<p>x<b id=1>",
        '<a "',
        "<a '",
        "<",
        "</",
        "<!--",
        "<!",
        "<script>",
        "<ul><li>",
        "<table><tr><td>x",
        "<a href=",
        "<img alt=x ",
        "&",
        "&#1;",
        "\u200b ",
        "<pre>",
        "<a href=http://x>x",
        "<br>",
        '<a x="y>',
        "-->",
    ],
)
def test_no_nesting_or_open_end_costs_more_than_its_length(piece: str) -> None:
    """A quadratic reader takes minutes for each of these; the bound is far from both."""
    html = piece * (LIMIT // len(piece))
    start = time.process_time()
    text_of(html)
    looks_like_html(html)
    assert time.process_time() - start < 10


_PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<a href='http://x'>",
        "</a>",
        "<ul>",
        "<li>",
        "</ul>",
        "<pre>",
        "</pre>",
        "<td>",
        "<!--",
        "-->",
        "<style>",
        "</style>",
        "&amp;",
        "&",
        "<",
        ">",
        '"',
        "'",
        " ",
        "\n",
        "\r",
        "x",
        "é",
        "\x01",
        "<br>",
        "</",
    ]
)


@given(st.lists(_PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_any_input_gives_clean_text(html: str) -> None:
    text = text_of(html)
    assert text == text.strip()
    assert not any(mark in text for mark in "\x01\x02\x03")
    assert "\r" not in text or "&" in html


@pytest.mark.parametrize(
    "body",
    [
        "<!doctype html><p>a",
        "  <HTML><body>a",
        "<p>Hello</p>",
        "<p>Hello",
        "Hello<br>World",
        "Hello<br/>World",
        "Hello <b>World</b>",
        "<h1 style='color:red'>Hi</h1>",
        'See <a href="https://x.org">this</a>',
        "<table><tr><td>1</td></tr></table>",
        'a <img src="x.png"> b',
        "<div class=x>a</div>",
    ],
)
def test_knows_html(body: str) -> None:
    assert looks_like_html(body)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Hello",
        "a < b > c",
        "a <b and b> c",
        "if (a<b) { c>d }",
        "Ann <ann@example.org> wrote",
        "see <https://example.org/p/>",
        "i <3 you",
        "use <b> for bold",
        "Dear <name>, <title> </link>",
        "<a@example.org> and </a>",
        "x <- 5; y -> 6",
        "List<String> and Map<p,q>",
        "&lt;p&gt;",
    ],
)
def test_knows_text(body: str) -> None:
    assert not looks_like_html(body)
