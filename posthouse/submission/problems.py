"""What goes wrong, as the caller is told: problem documents (RFC 9457), one table of kinds.

Rules: `type` is a URN of ours and never changes; texts are ours and repeat nothing of the input, save a field's name
inside a JSON Pointer (RFC 6901), which is cut and freed of control characters. Never a trace, a key or a secret.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from posthouse.submission.answers import Answer, Header, answer

Kind = Literal[
    "malformed",
    "validation",
    "idempotency-key-malformed",
    "unauthorized",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "idempotency-in-flight",
    "nothing-to-retry",
    "too-large",
    "unsupported-media-type",
    "idempotency-key-reused",
    "quota-exceeded",
    "internal",
    "unavailable",
    "not-ready",
]

KINDS: dict[Kind, tuple[int, str]] = {
    "malformed": (400, "The request could not be read"),
    "validation": (400, "The request has wrong fields"),
    "idempotency-key-malformed": (400, "The Idempotency-Key is malformed"),
    "unauthorized": (401, "No valid API key"),
    "forbidden": (403, "The API key lacks the scope"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "idempotency-in-flight": (409, "A request with this Idempotency-Key is still running"),
    "nothing-to-retry": (409, "There is nothing to retry"),
    "too-large": (413, "The request is too large"),
    "unsupported-media-type": (415, "The content type is not supported"),
    "idempotency-key-reused": (422, "The Idempotency-Key belongs to another request"),
    "quota-exceeded": (429, "Too many requests"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "Not available right now"),
    "not-ready": (503, "Not ready"),
}
"""Kind → status and title; the kind is the end of the document's `type`."""

URN = "urn:posthouse:problem:"
MEDIA_TYPE = b"application/problem+json"
MAX_POINTER = 200
"""Characters of a pointer that are shown."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Finding(NamedTuple):
    """One thing that is wrong: where, as a JSON Pointer into the request, and what, in words of ours."""

    pointer: str
    detail: str


class Problem(Exception):
    """Ends a request with a problem document. `more` are extension members (RFC 9457 §3.2)."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[Finding] = (),
        headers: Sequence[Header] = (),
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind: Kind = kind
        self.detail, self.errors, self.headers = detail, errors, headers
        self.more = more or {}

    def answer(self) -> Answer:
        """The problem document as an answer."""
        status, title = KINDS[self.kind]
        document: dict[str, Any] = {
            "type": URN + self.kind,
            "title": title,
            "status": status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [_shown(finding) for finding in self.errors]
        body = msgspec.json.encode(document | self.more)
        return answer(status, body, MEDIA_TYPE, self.headers)


def invalid(findings: Sequence[Finding]) -> Problem:
    """Wrong fields, all of them named; each pointer and detail once."""
    errors = list(dict.fromkeys(findings))
    detail = "A field is wrong." if len(errors) == 1 else f"{len(errors)} fields are wrong."
    return Problem("validation", f"{detail} See errors.", errors=errors)


def pointer(*steps: str | int) -> str:
    """A JSON Pointer of these steps, escaped (RFC 6901 §3)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _shown(finding: Finding) -> dict[str, str]:
    where = _CONTROL.sub("\ufffd", finding.pointer)
    if len(where) > MAX_POINTER:
        where = where[:MAX_POINTER] + "…"
    return {"pointer": where, "detail": finding.detail}
