"""The words about a route, written beside its handler: one Doc each, from which document and page are made.

Rules: a Doc says only what code cannot say. Shapes come from the Structs and types that the handler really uses; key,
rate, size and content type are said for every route alike, in document.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from posthouse.submission.problems import Kind

Group = Literal[
    "Sending",
    "Bulk",
    "Templates",
    "Contacts",
    "Suppressions",
    "Records",
    "Trail",
    "Feedback",
    "Health",
    "Reference",
]

GROUPS: dict[Group, str] = {
    "Sending": "Hand in mail. An answer of 2xx means that it is stored for good.",
    "Bulk": "One mail to many: a campaign has a template, an audience that is frozen once, and counts that add up.",
    "Templates": "What mail is made of: versions that never change, made ready once.",
    "Contacts": "Who may be written to, and in which roles.",
    "Suppressions": "Who is not to be mailed, in which lane, why, and for how long.",
    "Records": "What became of the mail: a record each, with the state of every recipient and its history.",
    "Trail": "Who did what, and when.",
    "Feedback": "What providers tell of our mail after they took it.",
    "Health": "For load balancers, orchestrators and monitoring.",
    "Reference": "This description, for people and for programs.",
}


class Parameter(msgspec.Struct, frozen=True):
    """An argument: its schema is that of `type`. `text` is CommonMark; `example` is what the page shows."""

    name: str
    type: Any
    text: str
    where: Literal["query", "path", "header"] = "query"
    example: Any = None


class Link(msgspec.Struct, frozen=True):
    """Where an answer leads: the `operation`, and its arguments as runtime expressions (OpenAPI 3.1 §4.8.20.4)."""

    operation: str
    arguments: Mapping[str, str]
    text: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A good answer. `types` are the Structs that its JSON can be; or `media` tells what else it is; neither: no body.

    `headers` and `maybe` name entries of HEADERS: those that are always there, those that may be. `example` makes one."""

    status: int
    text: str
    types: tuple[type[msgspec.Struct], ...] = ()
    media: str | None = None
    headers: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    links: Mapping[str, Link] = {}
    example: Callable[[], Any] | None = None


class Doc(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a route. `operation` is its unique name; `problems` are those of its own, beside the ones that
    every route like it has; `rules` is JSON Schema for what the request's Struct cannot say; `examples` are request
    bodies by name."""

    operation: str
    group: Group
    summary: str
    text: str = ""
    parameters: tuple[Parameter, ...] = ()
    replies: tuple[Reply, ...]
    problems: tuple[Kind, ...] = ()
    rules: Mapping[str, Any] = {}
    examples: Mapping[str, Any] = {}


class Header(msgspec.Struct, frozen=True):
    """A header of answers."""

    text: str
    example: Any
    type: Any = str


HEADERS: dict[str, Header] = {
    "Allow": Header("The methods of this path.", "POST, OPTIONS"),
    "Cache-Control": Header("How long the answer may be kept.", "no-store"),
    "Content-Disposition": Header("What to call the file.", 'attachment; filename="job.csv"'),
    "Content-Security-Policy": Header("The page needs nothing from anywhere.", "default-src 'none'"),
    "Link": Header(
        "Where the list goes on (RFC 8288): `first`, `prev` (pages only), `next`.",
        '</email/logs?limit=20>; rel="first"',
    ),
    "Location": Header("The path of the mail's record.", "/emails/01900000-0000-7000-8000-000000000001"),
    "Preference-Applied": Header("The `Prefer` that was followed (RFC 7240 §3).", "return=representation"),
    "RateLimit": Header(
        "What is left: `r` requests, and `t` seconds until there are more. Absent where the server has no limit.",
        '"default";r=599;t=60',
    ),
    "RateLimit-Policy": Header(
        "The limit: `q` requests in `w` seconds for each key. Absent where the server has no limit.",
        '"default";q=600;w=60',
    ),
    "Retry-After": Header("Seconds to wait before asking again.", 5, int),
    "Vary": Header("The answer depends on `Prefer`.", "Prefer"),
    "WWW-Authenticate": Header(
        "What is wanted, and what was wrong with what came (RFC 6750 §3).", 'Bearer realm="posthouse"'
    ),
    "X-Robots-Tag": Header("No search engine is to find the page.", "noindex"),
    "X-Message-Id": Header("The id of the mail.", "01900000-0000-7000-8000-000000000001"),
}
"""Every header that an answer can carry, beside those of HTTP's own machinery."""
