"""Letters as callers may write them, made by Hypothesis: each a request, and what a reader has to find in the mail.

Everything that mail can go wrong on is among the pieces: line ends of all kinds, lone dots, what looks like a header,
an encoded-word, a boundary or the end of data, long words, and scripts of many kinds.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

NASTY = [
    *(
        "\r",
        "\n",
        "\r\n",
        "\n\r",
        "\r\n\r\n",
        "\t",
        " ",
        "  ",
        ".",
        "..",
        "\n.",
        "\r\n.\r\n",
        "\n.\n",
        "\r.\r",
    ),
    "\r\n.\r\nMAIL FROM:<eve@evil.test>\r\nRCPT TO:<eve@evil.test>\r\nDATA\r\n",
    "\n.\r\nQUIT\r\n",
    *(
        "\r\nBcc: eve@evil.test",
        "\nSubject: another\n\n",
        "\nContent-Type: text/html\n",
        "From ",
        "\nFrom eve\n",
    ),
    *(
        "--=_",
        "\n--=_x.m--\n",
        "--",
        "=",
        "=3D",
        "=\n",
        "=0A.",
        "\n ",
        "\n\t",
        "&amp;",
        "%0d%0a",
        "\\r\\n",
        "$",
    ),
    *("x" * 77, "y" * 999, "z" * 3000, "https://example.org/" + "path/" * 30),
]
LINE = [
    *(
        "=?utf-8?q?no?=",
        "=?utf-8?b?bm8=?=",
        "=?utf-8?q?no?= =?utf-8?q?ne?=",
        "=?",
        "?=",
        "=?x?q?y?=",
        "?",
        "_",
        "=",
    ),
    *(
        '"',
        "\\",
        '\\"',
        "(",
        ")",
        "(a comment)",
        "((",
        ",",
        ";",
        ":",
        "<",
        ">",
        "<eve@evil.test>",
        "@",
        "'",
        "''",
    ),
    *(
        " ",
        "  ",
        "." * 3,
        "/",
        "%41",
        "utf-8''x",
        "*0*=",
        "w" * 90,
        "Bcc: eve@evil.test",
        "Ann",
        "o'Hara",
        "~",
    ),
    *("é", "e\u0301", "a\u0301\u0327\u0308" * 9, "日本語", "한국어", "😀", "👩‍👩‍👧‍👦", "🇩🇪", "𝔘𝔫𝔦", "ß" * 60),
    *(
        "שלום",
        "مرحبا",
        "\u202eevil\u202c",
        "\u2066x\u2069",
        "\u200f",
        "\u200b",
        "\ufeff",
        "\u00a0",
        "\u3000",
        "\u00ad",
    ),
    *("\ufffd", "\ufffe", "\U0010ffff", "\ue000", "\ufb03"),
]
CONTROLS = [chr(code) for code in (*range(9), 11, 12, *range(14, 32))]
"""What no text may hold; a line of a header may hold none of BREAKS either."""
BREAKS = [*CONTROLS, "\t", "\r", "\n", "\r\n", "\x7f", "\x80", "\x85", "\x9f", "\u2028", "\u2029"]
HALVES = ["\ud800", "\udfff", "\udc80", "\udbff"]
"""Of surrogate pairs: not even a string."""
TYPES = ["text/plain", "text/html; charset=utf-8", "image/png", "application/pdf", "application/x-weird+json"]
DOMAINS = {
    "example.org": "example.org",
    "MAIL.Example.net": "mail.example.net",
    "bücher.test": "xn--bcher-kva.test",
}
TEXT_HEADERS = ["X-Note", "X-" + "Long-Name" * 7, "Comments", "Organization", "Thread-Topic"]
FORMAL_HEADERS = ["List-Unsubscribe", "References", "In-Reply-To", "Keywords", "List-Id"]

Json = dict[str, Any]


@dataclass
class Letter:
    """`request` is what is posted; names and addresses are as they were meant, in the order in which they stand."""

    request: Json
    people: dict[str, list[tuple[str, str]]]
    headers: dict[str, str]
    ascii: bool
    files: list[Json] = field(default_factory=list[Json])

    @property
    def json(self) -> bytes:
        """The body, with everything beyond ASCII escaped or as UTF-8."""
        return json.dumps(self.request, ensure_ascii=self.ascii).encode()


def one_line(most: int) -> st.SearchStrategy[str]:
    """Text without line ends and controls, at most so many characters."""
    odd = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=4)
    pieces = st.lists(st.sampled_from(LINE) | odd, min_size=1, max_size=6)
    return pieces.map(lambda made: "".join(made)[:most]).filter(
        lambda text: not text.isspace() and text != ""
    )


bodies = (
    st.lists(
        st.sampled_from(NASTY)
        | st.sampled_from(LINE)
        | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
        min_size=1,
        max_size=10,
    )
    .map("".join)
    .filter(lambda text: text != "" and not text.isspace())
)
locals_ = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=12)


@st.composite
def mailboxes(draw: st.DrawFn, field: str, most: int) -> list[tuple[str, tuple[str, str]]]:
    """Each as a caller writes it, and the name and address that it means. No address comes twice in a letter."""
    made: list[tuple[str, tuple[str, str]]] = []
    for number in range(draw(st.integers(1, most))):
        local, domain = f"{field}{number}.{draw(locals_)}", draw(st.sampled_from(list(DOMAINS)))
        name = draw(st.just("") | one_line(250))
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        address = f"{local}@{domain}"
        written = f'"{quoted}" <{address}>' if name else draw(st.sampled_from([address, f"<{address}>"]))
        made.append((written, (name, f"{local}@{DOMAINS[domain]}")))
    return made


@st.composite
def files(draw: st.DrawFn) -> Json:
    """An attachment."""
    content = draw(
        st.binary(max_size=40) | st.sampled_from([b"\r\n.\r\n", bytes(range(256)) * 300, b"\n.\n" * 30])
    )
    made: Json = {"filename": draw(one_line(255)), "content": base64.b64encode(content).decode()}
    if draw(st.booleans()):
        made["content_type"] = draw(st.sampled_from(TYPES))
    if draw(st.booleans()):
        made["content_id"] = draw(st.text("abcXYZ019._-@", min_size=1, max_size=20))
    return made


formal = st.lists(
    st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=90),
    min_size=1,
    max_size=12,
).map(" ".join)


@st.composite
def letters(draw: st.DrawFn) -> Letter:
    """Any letter that must be taken."""
    request: Json = {"subject": draw(one_line(998))}
    people: dict[str, list[tuple[str, str]]] = {}
    for name, most in (("to", 3), ("from", 1), ("cc", 2), ("bcc", 2), ("reply_to", 2)):
        if name == "to" or draw(st.booleans()):
            boxes = draw(mailboxes(name, most))
            written = [box[0] for box in boxes]
            request[name] = written[0] if name == "from" or len(written) == 1 else written
            people[name] = [box[1] for box in boxes]
    for name in draw(st.sampled_from([["body"], ["text"], ["html"], ["html", "text"]])):
        request[name] = draw(bodies)
    texts = st.dictionaries(st.sampled_from(TEXT_HEADERS), one_line(800), max_size=2)
    formals = st.dictionaries(st.sampled_from(FORMAL_HEADERS), formal, max_size=2)
    headers = {**draw(texts), **draw(formals)}
    if headers:
        request["headers"] = headers
    attached = draw(st.lists(files(), max_size=2))
    if attached:
        request["attachments"] = attached
    return Letter(request, people, headers, draw(st.booleans()), attached)


@st.composite
def spoiled(draw: st.DrawFn, lines: list[str], texts: list[str]) -> tuple[Letter, str]:
    """A letter with one field that must be refused, and the pointer to it: one of `lines` stands somewhere in a field of
    one line, or one of `texts` in a body."""
    letter = draw(letters())
    request = letter.request
    where = draw(st.sampled_from(sorted(_fields(request))))
    *path, last = [int(step) if step.isdigit() else step for step in where.split("/")[1:]]
    parent: Any = request
    for step in path:
        parent = parent[step]
    bad = draw(st.sampled_from(texts if last in ("body", "html", "text") else lines))
    at = draw(st.integers(0, len(parent[last])))
    parent[last] = parent[last][:at] + bad + parent[last][at:]
    return letter, where


def _fields(request: Json) -> Iterator[str]:
    """Pointers to all texts of a request."""
    for name in ("subject", "body", "html", "text", "from"):
        if name in request:
            yield f"/{name}"
    for name in ("to", "cc", "bcc", "reply_to"):
        if isinstance(request.get(name), list):
            yield from (f"/{name}/{number}" for number in range(len(request[name])))
        elif name in request:
            yield f"/{name}"
    yield from (f"/headers/{name}" for name in request.get("headers", {}))
    yield from (f"/attachments/{number}/filename" for number in range(len(request.get("attachments", []))))
