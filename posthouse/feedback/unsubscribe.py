"""GET and POST /u/{token}: the link in each bulk mail, by which a person leaves the list (RFC 8058).

Rules: GET shows a page and changes nothing, so no scanner of mail unsubscribes anybody; POST acts, by a mail program's one
click or by the page's button, and twice is once. Who it is stands in the token alone: nothing in the body counts but the
word that RFC 8058 §3.2 wants. A token that is none of ours gets the same answer, and costs the catalog nothing. There is
no redirect, no cookie, no script. Those who come together share one write; a token is good for so many requests a minute.
"""

import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from hashlib import sha256
from importlib.resources import files
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec

from posthouse import feedback
from posthouse.batch import Batcher
from posthouse.mail.errors import StoreAway
from posthouse.mail.suppression import Suppression
from posthouse.mail.unsubscribe import ONE_CLICK, PATH, opened
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, Header, answer
from posthouse.submission.endpoint import Call, Handler, Route, Upload
from posthouse.submission.problems import Finding, invalid
from posthouse.submission.ratelimit import Rate, RateLimiter, exceeded
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.suppressed import SuppressionList

BY = "recipient"
"""Who did it, as the trail has it."""
RATE = Rate(20, 60)
"""How often one token may be posted: a person and a mail program together need two."""
MOST_BYTES = 8_192
"""Bytes of a body."""
FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data"

TOKEN = Parameter(
    "token",
    Annotated[str, msgspec.Meta(min_length=1)],
    "What stands in the link; any other word gets the same answer.",
    where="path",
    example="aGVyZSBzdGFuZHMgd2hhdCB0aGUgbGluayBoYXM",
)
SHOW = Doc(
    operation="showUnsubscribe",
    group="Feedback",
    summary="Show the page behind the link in a bulk mail",
    text="A page with a button, the same for every token. It changes nothing.",
    parameters=(TOKEN,),
    replies=(
        Reply(
            status=200,
            text="The page.",
            media="text/html",
            headers=("Cache-Control", "Content-Security-Policy", "X-Robots-Tag"),
        ),
    ),
)
ACT = Doc(
    operation="unsubscribe",
    group="Feedback",
    summary="Unsubscribe by one click",
    text="""\
RFC 8058: what mail programs post to the link of a bulk mail, and what the page's button posts. The person of the token gets \
no more mail of the lane bulk. Any other token gets the same answer. Again is harmless.""",
    parameters=(TOKEN,),
    replies=(
        Reply(
            status=200,
            text="A page that says so.",
            media="text/html",
            headers=("Cache-Control", "Content-Security-Policy", "X-Robots-Tag"),
        ),
    ),
    problems=("quota-exceeded",),
)
UPLOAD = Upload(
    media=(FORM, PARTS),
    schema={
        "type": "object",
        "description": "A form with `List-Unsubscribe=One-Click`; nothing else in it counts.",
        "required": [ONE_CLICK[0]],
        "properties": {ONE_CLICK[0]: {"const": ONE_CLICK[1]}},
    },
    example=dict([ONE_CLICK]),
    most=MOST_BYTES,
)

_ASK = """\
<p>You will get no more mailings from this sender. Mail that you ask for yourself, such as a receipt, still comes.</p>
<form method="post"><input type="hidden" name="{0}" value="{1}"><button type="submit">Unsubscribe</button></form>"""
_DONE = '<p role="status">You will get no more mailings from this sender. You may close this page.</p>'


def unsubscribe_routes(suppressed: SuppressionList, keys: Sequence[bytes]) -> list[Route]:
    """Both; `keys` open the tokens."""
    path = f"{PATH}{{token}}"
    ask, done = _page("Unsubscribe?", _ASK.format(*ONE_CLICK)), _page("You are unsubscribed", _DONE)
    return [
        Route(method="GET", path=path, scope=None, handler=show_page(ask), doc=SHOW),
        Route(
            method="POST",
            path=path,
            scope=None,
            handler=unsubscribe(suppressed, keys, done),
            doc=ACT,
            upload=UPLOAD,
        ),
    ]


def show_page(page: Answer) -> Handler:
    """The handler of GET."""

    async def handle(call: Call) -> Answer:
        return page

    return handle


def unsubscribe(suppressed: SuppressionList, keys: Sequence[bytes], page: Answer) -> Handler:
    """The handler of POST."""
    limiter = RateLimiter(RATE, time.monotonic)
    batcher = Batcher(_adding(suppressed), away=(StoreAway,))

    async def handle(call: Call) -> Answer:
        token = call.path["token"]
        taken = limiter.take(sha256(token.encode("utf-8", "replace")).hexdigest())
        if taken.wait:
            raise exceeded(taken.wait)
        if not is_one_click(call.headers.get(b"content-type", b""), call.body):
            raise invalid([Finding(f"/{ONE_CLICK[0]}", f"must be there once, and be {ONE_CLICK[1]}")])
        found = opened(keys, token)
        if found is not None:
            lane, email = found
            await in_time(batcher.add(Suppression(email=email, lane=lane, reason="unsubscribed")))
        return page

    return handle


def is_one_click(content_type: bytes, body: bytes) -> bool:
    """Whether a form says what RFC 8058 §3.2 wants, in either of its two encodings."""
    in_parts = content_type.lower().startswith(PARTS.encode())
    return (_parts(content_type, body) if in_parts else _form(body)) == [ONE_CLICK[1]]


def _form(body: bytes) -> list[str]:
    try:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return []
    return [value for name, value in pairs if name == ONE_CLICK[0]]


def _parts(content_type: bytes, body: bytes) -> list[str]:
    parsed = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    found: list[str] = []
    for part in parsed.iter_parts() if parsed.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == ONE_CLICK[0]:
            payload = part.get_payload(decode=True)
            found.append(payload.decode("latin-1").strip() if isinstance(payload, bytes) else "")
    return found


def _adding(suppressed: SuppressionList) -> Callable[[list[Suppression]], Awaitable[list[None]]]:
    async def add(entries: list[Suppression]) -> list[None]:
        await suppressed.add(entries, BY)
        return [None] * len(entries)

    return add


def _page(title: str, body: str) -> Answer:
    ours = files(feedback)
    style = ours.joinpath("unsubscribe.css").read_text("utf-8")
    shown = ours.joinpath("unsubscribe.html").read_text("utf-8")
    for name, value in (("title", title), ("style", style), ("body", body)):
        shown = shown.replace(f"{{{name}}}", value)
    return answer(200, shown.encode(), b"text/html; charset=utf-8", _headers(style))


def _headers(style: str) -> list[Header]:
    """Nothing from elsewhere, kept by nobody, found by nobody, told to nobody."""
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return [
        (b"cache-control", b"no-store"),
        (b"content-security-policy", policy.encode()),
        (b"x-robots-tag", b"noindex"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
