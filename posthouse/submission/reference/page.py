"""The page for people: the OpenAPI document as one HTML page, without scripts, fonts or anything from elsewhere.

Rules: what it shows of a route comes from the document, so a new one shows up by itself; every text is escaped; the style is
allowed by its hash, and the page may load nothing else.
"""

import base64
import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import urlencode

from posthouse.submission import reference
from posthouse.submission.problems import KINDS, URN
from posthouse.submission.reference.describe import HEADERS

Json = dict[str, Any]

_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "maxItems": "at most {}",
    "maxProperties": "at most {}",
}
_FORMATS = {"date-time": "time", "date": "date"}


class Page(NamedTuple):
    """The page, and the Content-Security-Policy that it is to be sent with."""

    html: str
    policy: str


def render_page(document: Json) -> Page:
    """The page of a document."""
    from jinja2 import Environment, StrictUndefined

    ours = files(reference)
    style = ours.joinpath("page.css").read_text("utf-8")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    engine.filters |= {
        "prose": _prose,
        "kind": _kind,
        "limits": _limits,
        "pretty": _pretty,
        "shape": _shape_name,
    }
    html = engine.from_string(ours.joinpath("page.html").read_text("utf-8")).render(
        info=document["info"],
        groups=list(_groups(document)),
        shapes=document["components"]["schemas"],
        headers=HEADERS,
        problems={URN + kind: known for kind, known in KINDS.items()},
        style=style,
    )
    return Page(html, _policy(style))


def _policy(style: str) -> str:
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _groups(document: Json) -> Iterator[tuple[Json, list[Json]]]:
    """Each tag with its operations, in the order of the document."""
    operations = [
        {"method": method.upper(), "path": path, **operation, "curl": _curl(method.upper(), path, operation)}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for tag in document["tags"]:
        yield tag, [each for each in operations if tag["name"] in each["tags"]]


def _curl(method: str, path: str, operation: Json) -> str:
    """A command that does it."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
    words = ["curl -sS"]
    if method != "GET":
        words[0] += f" -X {method}"
    words[0] += f' "$URL{path}"'
    if {} not in operation["security"]:
        words.append('-H "Authorization: Bearer $KEY"')
    body = operation.get("requestBody")
    if body is not None:
        words[0] = words[0].replace(" -X POST", "")
        media = next(iter(body["content"]))
        words.append(f"-H 'Content-Type: {media}'")
        option = "-d" if media == "application/json" else "--data-binary"
        words.append(f"{option} '{_first_example(body, media)}'".replace("\\'", "'\\''"))
    return " \\\n  ".join(words)


def _first_example(body: Json, media: str) -> str:
    content = body["content"][media]
    if "examples" not in content:
        example = content["example"]
        return example if isinstance(example, str) else urlencode(example)
    return _pretty(next(iter(content["examples"].values()))["value"])


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _prose(text: str) -> Any:
    """CommonMark as far as our texts go: paragraphs, line breaks, code between backticks."""
    from markupsafe import Markup, escape

    paragraphs: list[str] = []
    for paragraph in text.split("\n\n"):
        pieces = str(escape(paragraph)).replace("\n", "<br>").split("`")
        shown = [f"<code>{each}</code>" if n % 2 else each for n, each in enumerate(pieces)]
        paragraphs.append(f"<p>{''.join(shown)}</p>")
    return Markup("".join(paragraphs))


def _shape_name(schema: Json) -> str:
    return schema["$ref"].rpartition("/")[2]


def _kind(schema: Json) -> Any:
    """What a schema asks for, in a few words, with links to the shapes."""
    from markupsafe import Markup, escape

    if "$ref" in schema:
        return Markup('<a href="#{0}">{0}</a>').format(_shape_name(schema))
    if "anyOf" in schema:
        arms = [arm for arm in schema["anyOf"] if arm != {"type": "null"}]
        return Markup(" or ").join([_kind(arm) for arm in arms])
    if "enum" in schema:
        return Markup(" ").join([Markup("<code>{}</code>").format(each) for each in schema["enum"] if each])
    if schema.get("type") == "array":
        return Markup("list of ") + _kind(schema.get("items", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        return Markup("object of ") + _kind(schema["additionalProperties"])
    if "contentEncoding" in schema:
        return escape(schema["contentEncoding"])
    return escape(_FORMATS.get(schema.get("format", ""), schema.get("type", "anything")))


def _limits(schema: Json) -> str:
    """The limits of a schema in words."""
    words = [text.format(schema[name]) for name, text in _LIMITS.items() if name in schema]
    return ", ".join(words)
