"""The OpenAPI 3.1 document, made of the routes, their Docs, and the Structs that really read and write.

Rules: nothing here names a route. What all routes of a sort share (key, rate, size, content type) is said once, below,
beside the order of the checks in endpoint.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from posthouse import __version__
from posthouse.submission.endpoint import OpenRoute, Route, Upload
from posthouse.submission.problems import KINDS, MEDIA_TYPE, URN, Kind, ProblemDocument
from posthouse.submission.reference.describe import GROUPS, HEADERS, Doc, Parameter, Reply

Json = dict[str, Any]

KEYED: tuple[Kind, ...] = ("unauthorized", "forbidden", "quota-exceeded", "internal", "unavailable")
"""What every route with a key can answer; then what those with a body, and those with a record's id, can."""
UNKEYED: tuple[Kind, ...] = ("internal", "unavailable")
WITH_UPLOAD: tuple[Kind, ...] = ("validation", "too-large", "unsupported-media-type")
WITH_BODY: tuple[Kind, ...] = ("malformed", "validation", "too-large", "unsupported-media-type")
WITH_ID: tuple[Kind, ...] = ("not-found",)

CARRIED: dict[Kind, tuple[str, ...]] = {
    "unauthorized": ("WWW-Authenticate",),
    "bad-signature": ("WWW-Authenticate",),
    "forbidden": ("WWW-Authenticate",),
    "method-not-allowed": ("Allow",),
    "idempotency-in-flight": ("Retry-After",),
    "quota-exceeded": ("Retry-After",),
    "unavailable": ("Retry-After",),
    "not-ready": ("Retry-After", "Cache-Control"),
}
"""The headers that come with a kind of problem."""
UNCOUNTED: frozenset[Kind] = frozenset({"unauthorized", "forbidden", "not-ready"})
"""Kinds that come before the rate is asked, or where it is not."""
_COUNTED = ("RateLimit", "RateLimit-Policy")

_ABOUT = """\
Posthouse answers once a mail is stored for good, sends it in the background, and keeps the true record of it.

Checks come in this order: key (401, 403), rate (429), size (413), content type (415), content (400). A 400 names every \
wrong field and repeats no value; unknown fields are refused. A 503 may have been stored: repeat it with the same \
`Idempotency-Key`. Every error is a problem document (RFC 9457).

Each GET answers HEAD too, and OPTIONS names the methods of a path in `Allow`; any other method gets 405. Times are \
ISO 8601 in UTC."""

_SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer KEY`: an API key, or a token (JWT) where the server takes them.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "`x-api-key: KEY`"},
}


def make_document(routes: Sequence[Route], open_routes: Sequence[OpenRoute]) -> Json:
    """The document of these routes, as plain data."""
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _keyed(route)
    for each in open_routes:
        paths.setdefault(each.path, {})["get"] = _open(each)
    docs = [route.doc for route in routes] + [each.doc for each in open_routes]
    groups = {doc.group for doc in docs}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Posthouse",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": name, "description": text} for name, text in GROUPS.items() if name in groups],
        "paths": paths,
        "components": {
            "securitySchemes": _SCHEMES,
            "headers": {name: _header(name) for name in sorted(_named_headers(paths))},
            "schemas": _schemas(routes, docs),
        },
    }


def _keyed(route: Route) -> Json:
    kinds: list[Kind] = [*(UNKEYED if route.scope is None else KEYED), *route.doc.problems]
    if route.request is not None:
        kinds += WITH_BODY
    if route.upload is not None:
        kinds += WITH_UPLOAD
    if "{" in route.path and route.scope is not None:
        kinds += WITH_ID
    if route.scope is None:
        operation = _operation(route.doc, kinds, (), "Needs no key: it is signed.")
        operation["security"] = [{}]
    else:
        needs = f"Needs a key with the scope `{route.scope}`."
        operation = _operation(route.doc, kinds, _COUNTED, needs)
        operation["security"] = [{name: [route.scope]} for name in _SCHEMES]
    if route.request is not None:
        operation["requestBody"] = _request(route.request, route.doc)
    if route.upload is not None:
        operation["requestBody"] = _upload(route.upload)
    return operation


def _open(route: OpenRoute) -> Json:
    guarded = "unauthorized" in route.doc.problems  # from some callers; its own text says from whom
    needs = "" if guarded else "Open to all, and not counted."
    operation = _operation(route.doc, route.doc.problems, (), needs)
    operation["security"] = [{}, *({name: []} for name in _SCHEMES if guarded)]
    return operation


def _operation(doc: Doc, kinds: Iterable[Kind], maybe: tuple[str, ...], needs: str) -> Json:
    operation: Json = {
        "operationId": doc.operation,
        "tags": [doc.group],
        "summary": doc.summary,
        "description": f"{doc.text}\n\n{needs}".strip(),
        "responses": {str(reply.status): _reply(reply, maybe) for reply in doc.replies} | _problems(kinds),
    }
    if doc.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in doc.parameters]
    return operation


def _parameter(parameter: Parameter) -> Json:
    shown: Json = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.text,
        "schema": msgspec.json.schema(parameter.type),
    }
    if parameter.example is not None:
        shown["example"] = parameter.example
    return shown


def _request(struct: type[msgspec.Struct], doc: Doc) -> Json:
    content: Json = {"schema": {**_ref(struct), **doc.rules}}
    if doc.examples:
        content["examples"] = {name: {"value": value} for name, value in doc.examples.items()}
    return {"required": True, "content": {"application/json": content}}


def _upload(upload: Upload) -> Json:
    content: Json = {"schema": dict(upload.schema)}
    if upload.example is not None:
        content["example"] = upload.example
    return {"required": True, "content": dict.fromkeys(upload.media, content)}


def _reply(reply: Reply, maybe: tuple[str, ...]) -> Json:
    shown: Json = {"description": reply.text, "headers": _headers(reply.headers, (*reply.maybe, *maybe))}
    if reply.types or reply.media is not None:
        content: Json = {"schema": _any_of(reply.types) if reply.types else _whole(reply.media)}
        if reply.example is not None:
            content["example"] = msgspec.to_builtins(reply.example())
        shown["content"] = {reply.media or "application/json": content}
    if reply.links:
        shown["links"] = {
            name: {
                "operationId": link.operation,
                "parameters": dict(link.arguments),
                "description": link.text,
            }
            for name, link in reply.links.items()
        }
    return shown


def _problems(kinds: Iterable[Kind]) -> Json:
    """The problem documents by status; their `type` is one of what can come here, and nothing else."""
    ordered = sorted(set(kinds), key=list(KINDS).index)
    grouped = groupby(ordered, key=lambda kind: KINDS[kind].status)
    return {str(status): _problem(status, list(group)) for status, group in grouped}


def _problem(status: int, kinds: list[Kind]) -> Json:
    carried: list[set[str]] = [set(CARRIED.get(kind, ())) for kind in kinds]
    always = sorted(carried[0].intersection(*carried[1:]))
    maybe = sorted(carried[0].union(*carried[1:]).difference(always))
    if not UNCOUNTED.issuperset(kinds):
        maybe += _COUNTED
    told = {"type": {"enum": [URN + kind for kind in kinds]}, "status": {"const": status}}
    schema = _ref(ProblemDocument) | {"properties": told}
    return {
        "description": "\n".join(f"`{kind}`: {KINDS[kind].title}. {KINDS[kind].when}" for kind in kinds),
        "headers": _headers(always, maybe),
        "content": {MEDIA_TYPE.decode(): {"schema": schema}},
    }


def _headers(always: Sequence[str], maybe: Sequence[str]) -> Json:
    """References to the headers; one that is always there is said in full, since a reference cannot be required."""
    required = {name: _header(name) | {"required": True} for name in always}
    return required | {name: {"$ref": f"#/components/headers/{name}"} for name in maybe}


def _header(name: str) -> Json:
    header = HEADERS[name]
    return {
        "description": header.text,
        "schema": msgspec.json.schema(header.type),
        "example": header.example,
    }


def _named_headers(paths: Json) -> set[str]:
    replies = [
        reply for path in paths.values() for each in path.values() for reply in each["responses"].values()
    ]
    return {name for reply in replies for name, header in reply["headers"].items() if "$ref" in header}


def _schemas(routes: Sequence[Route], docs: Sequence[Doc]) -> Json:
    structs: list[Any] = [route.request for route in routes if route.request is not None]
    structs += [each for doc in docs for reply in doc.replies for each in reply.types]
    _, components = msgspec.json.schema_components([*structs, ProblemDocument], ref_template=_PLACE)
    return components


_PLACE = "#/components/schemas/{name}"


def _ref(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": _PLACE.format(name=struct.__name__)}


def _whole(media: str | None) -> Json:
    return {"type": "object" if media == "application/json" else "string"}


def _any_of(structs: Sequence[type[msgspec.Struct]]) -> Json:
    return _ref(structs[0]) if len(structs) == 1 else {"anyOf": [_ref(struct) for struct in structs]}
