"""What goes wrong, as the caller is told: problem documents (RFC 9457), one table of kinds.

Rules: `type` is a URN of ours and never changes; texts are ours and repeat nothing of the input, save a field's name
inside a JSON Pointer (RFC 6901), which is cut and freed of control characters. Never a trace, a key or a secret.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from posthouse.submission.answers import Answer, Header, answer

Kind = Literal[
    "malformed",
    "validation",
    "idempotency-key-malformed",
    "unauthorized",
    "bad-signature",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "idempotency-in-flight",
    "nothing-to-retry",
    "nothing-unknown",
    "campaign-state",
    "no-campaigns",
    "too-large",
    "unsupported-media-type",
    "idempotency-key-reused",
    "quota-exceeded",
    "internal",
    "unavailable",
    "not-ready",
]


class Known(NamedTuple):
    """A kind of problem: its status, its title, and when it comes, for the reference."""

    status: int
    title: str
    when: str


KINDS: dict[Kind, Known] = {
    "malformed": Known(
        400, "The request could not be read", "The body is not JSON in UTF-8, or is nested too deeply."
    ),
    "validation": Known(400, "The request has wrong fields", "Every wrong field is named in `errors`."),
    "idempotency-key-malformed": Known(
        400, "The Idempotency-Key is malformed", "It must be 1 to 255 printable ASCII characters."
    ),
    "unauthorized": Known(
        401, "No valid API key or token", "There is none, or it is wrong, expired or revoked."
    ),
    "bad-signature": Known(
        401, "The signature of the webhook is wrong", "Signed with another secret, or too long ago."
    ),
    "forbidden": Known(403, "The API key or token lacks the scope", "It is good, but not for this."),
    "not-found": Known(404, "There is nothing here", "No such path, or no such record."),
    "method-not-allowed": Known(405, "The method is not allowed here", "`Allow` has those that are."),
    "idempotency-in-flight": Known(
        409,
        "A request with this Idempotency-Key is still running",
        "Its first request is not yet stored. Ask again in a moment.",
    ),
    "nothing-to-retry": Known(
        409,
        "There is nothing to retry",
        "No recipient of the mail has failed or is unknown, or its body is no longer kept.",
    ),
    "nothing-unknown": Known(
        409, "There is nothing to settle", "No recipient of the mail has an unknown outcome."
    ),
    "campaign-state": Known(
        409, "The campaign cannot do that now", "It is in another state, or has nothing to send again."
    ),
    "no-campaigns": Known(
        409,
        "This server keeps no campaigns",
        "They live beside the mail in SQLite or PostgreSQL, and its store is another one.",
    ),
    "too-large": Known(413, "The request is too large", "The body, or the text in it, is over the limit."),
    "unsupported-media-type": Known(
        415,
        "The content type is not supported",
        "Send what the call takes (JSON, if nothing else is said), not compressed.",
    ),
    "idempotency-key-reused": Known(
        422, "The Idempotency-Key belongs to another request", "Another content had this key first."
    ),
    "quota-exceeded": Known(429, "Too many requests", "The key has used up its requests for now."),
    "internal": Known(500, "Something went wrong on our side", "It was logged, with nothing of the mail."),
    "unavailable": Known(
        503,
        "Not available right now",
        "The record store is away. Repeat a send with the same Idempotency-Key.",
    ),
    "not-ready": Known(503, "Not ready", "`parts` says what is missing."),
}
"""What is known of each kind; the kind is the end of the document's `type`."""

URN = "urn:posthouse:problem:"
_TYPES = {"enum": [URN + kind for kind in KINDS]}
MEDIA_TYPE = b"application/problem+json"
MOST_FINDINGS = 100
"""Wrong fields that one answer names."""
MAX_POINTER = 200
"""Characters of a pointer that are shown."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Finding(NamedTuple):
    """One thing that is wrong: where, as a JSON Pointer into the request, and what, in words of ours."""

    pointer: str
    detail: str


class Fault(msgspec.Struct, frozen=True):
    """One wrong field: where it is, as a JSON Pointer into the request (an argument is `/name`), and what is wrong."""

    pointer: Annotated[str, msgspec.Meta(examples=["/to/1"])]
    detail: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every error looks like (RFC 9457). Extension members may stand beside these."""

    type: Annotated[
        str,
        msgspec.Meta(description="Tells the kind of problem and never changes.", extra_json_schema=_TYPES),
    ]
    title: str
    status: int
    detail: str
    errors: list[Fault] = []


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
        known = KINDS[self.kind]
        faults = [_shown(finding) for finding in self.errors]
        document = ProblemDocument(URN + self.kind, known.title, known.status, self.detail, faults)
        body = msgspec.json.encode(msgspec.to_builtins(document) | self.more)
        return answer(known.status, body, MEDIA_TYPE, self.headers)


def invalid(findings: Sequence[Finding]) -> Problem:
    """Wrong fields, each pointer and detail once: all are named, or the first MOST_FINDINGS."""
    errors = list(dict.fromkeys(findings))
    if len(errors) >= MOST_FINDINGS:
        detail = f"{MOST_FINDINGS} fields are wrong, or more."
    else:
        detail = "A field is wrong." if len(errors) == 1 else f"{len(errors)} fields are wrong."
    return Problem("validation", f"{detail} See errors.", errors=errors[:MOST_FINDINGS])


def pointer(*steps: str | int) -> str:
    """A JSON Pointer of these steps, escaped (RFC 6901 §3)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _shown(finding: Finding) -> Fault:
    where = _CONTROL.sub("\ufffd", finding.pointer)
    if len(where) > MAX_POINTER:
        where = where[:MAX_POINTER] + "…"
    return Fault(where, finding.detail)
