"""Receives a provider's webhook over HTTP: verify, read, keep and apply, put on the suppression list, then answer.

Answers: 204 when the record has it, or had it before; 202 when it is kept for a mail that is not known (yet); 401 for a
bad signature; 400 for what is not such an event; 503 when the store is away, so that the provider repeats it. No API
key and no rate limit (DESIGN §6): the signature is the key. A complaint, and mail that came back for good, puts the address
on the list, also where the mail is no longer known. Told again it does not, once somebody took it off.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec
import structlog

from posthouse.feedback.base import BadSignature, Hook
from posthouse.mail.notice import Notice
from posthouse.mail.suppression import Suppression, entry_of
from posthouse.store.base import Heard, Store
from posthouse.store.catalog.suppressions import about
from posthouse.store.catalog.trail import Trail
from posthouse.submission.accept import in_time
from posthouse.submission.answers import Answer, Header
from posthouse.submission.endpoint import Call, Handler, Route
from posthouse.submission.problems import Problem, invalid
from posthouse.submission.reference.describe import Doc, Parameter, Reply
from posthouse.submission.shape import read
from posthouse.suppressed import SuppressionList

_LENGTH_0: Header = (b"content-length", b"0")
_SIGN: Header = (b"www-authenticate", b'Webhook-Signature realm="posthouse"')


class Ears(msgspec.Struct, frozen=True):
    """What hears a webhook: the records, the suppression list and the trail of what was done with it; `now` gives
    microseconds since 1970."""

    store: Store
    suppressed: SuppressionList
    trail: Trail
    now: Callable[[], int]


def webhook_route(hook: Hook, ears: Ears) -> Route:
    """The route of one provider."""
    return Route(
        method="POST",
        path=f"/webhooks/{hook.name}",
        scope=None,
        request=hook.event,
        handler=receive_webhook(hook, ears),
        doc=_doc(hook),
    )


def receive_webhook(hook: Hook, ears: Ears) -> Handler:
    """The handler: what is not signed is not read."""
    decoder: msgspec.json.Decoder[msgspec.Struct] = msgspec.json.Decoder(hook.event)

    async def handle(call: Call) -> Answer:
        key = _verified(hook, call.headers, call.body, ears.now())
        event, findings = read(call.body, decoder)
        if findings:
            raise invalid(findings)
        notices = hook.notices(event, key, call.body)
        heard = await in_time(ears.store.hear(notices))
        for notice, what in zip(notices, heard, strict=True):
            _log(notice, what)
        await in_time(_suppress(ears, list(zip(notices, heard, strict=True)), hook.name))
        return Answer(202, [_LENGTH_0]) if "unknown" in heard else Answer(204, [])

    return handle


async def _suppress(ears: Ears, told: Sequence[tuple[Notice, Heard]], provider: str) -> None:
    """Puts on the list whom these notices tell of. What was told before is new to the list only where nothing ever
    happened to that address: then we died in between."""
    entries: list[Suppression] = []
    for notice, heard in told:
        entry = entry_of(notice)
        if entry is None:
            continue
        if heard != "repeated" or not await ears.trail.acts(1, about=about(entry.email)):
            entries.append(entry)
    if entries:
        await ears.suppressed.add(entries, f"webhook {provider}")


def _verified(hook: Hook, headers: Mapping[bytes, bytes], body: bytes, now: int) -> str:
    try:
        return hook.verify(headers, body, now)
    except BadSignature as error:
        raise Problem("bad-signature", f"Refused: {error}.", headers=[_SIGN]) from None


def _log(notice: Notice, what: str) -> None:
    log = structlog.get_logger("feedback")
    log.info(f"notice {what}", id=notice.id, provider=notice.provider, kind=notice.kind, code=notice.code)


def _doc(hook: Hook) -> Doc:
    return Doc(
        operation=f"receive{hook.name.capitalize()}Webhook",
        group="Feedback",
        summary=hook.summary,
        text=hook.text,
        parameters=tuple(
            Parameter(name, Annotated[str, msgspec.Meta(min_length=1)], text, where="header")
            for name, text in hook.headers.items()
        ),
        replies=(
            Reply(status=204, text="The record has it, or had it before."),
            Reply(status=202, text="Kept: no mail is known for it (yet)."),
        ),
        problems=("bad-signature",),
        examples={"delivered": hook.example},
    )
