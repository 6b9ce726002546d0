"""What providers tell later: kept once, and applied to the mail it is about.

A mail is found by our id, by its Message-ID, or by the provider's name for it. That name has a document among the keys: it
says which mail has it, or which notices wait for one; it is changed by compare-and-set, so of a notice and the settlement that
tells the name, one sees the other. A record remembers the notices that were applied to it last, so that one whose teller died
before it was placed can be applied again, harmlessly: when it is told again, or by `mend`.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from posthouse.mail import advance
from posthouse.mail.advance import Settlement
from posthouse.mail.identity import id_of
from posthouse.mail.message import Message
from posthouse.mail.notice import Notice
from posthouse.mail.retry import until
from posthouse.store.base import NOTICE_SECONDS, PROVIDER, Heard
from posthouse.store.elasticsearch.change import change, read
from posthouse.store.elasticsearch.change import settle as settle_messages
from posthouse.store.elasticsearch.records import Found, text, time
from posthouse.store.elasticsearch.save import key_id
from posthouse.store.elasticsearch.session import Item, Session

REMEMBERED = 50
"""Notices that a record remembers as applied."""
SLICE = 200

_NOTICE = msgspec.msgpack.Decoder(Notice)


async def hear(session: Session, notices: Sequence[Notice]) -> list[Heard]:
    """See the port."""
    given = {_id(each): each for each in reversed(notices)}
    ids = list(reversed(given))
    kept = await session.bulk([_kept(session, id, given[id]) for id in ids])
    new = {id for id, done in zip(ids, kept, strict=True) if done}
    old = await session.get(session.notices, [id for id in ids if id not in new], "id")
    unplaced = {id for id, document in old.items() if document["_source"].get("id") is None}
    applied = await _apply(session, {id: given[id] for id in ids if id in new | unplaced})
    return _answers(notices, new, applied)


async def settle(session: Session, settlements: Sequence[Settlement]) -> list[Message | None]:
    """Settles, and keeps the names under which providers will speak of these mails, or have already."""
    named = {name: each.id for each in settlements for name in _names(each)}
    items = [
        Item("create", session.keys, key_id(PROVIDER, name), _name(session, id), None)
        for name, id in named.items()
    ]
    settled, made = await settle_messages(session, settlements, items)
    met = [pair for pair, done in zip(named.items(), made, strict=True) if not done]
    waiting = [notice for name, id in met for notice in await _claim_name(session, name, id)]
    if waiting:
        await _apply(session, await _load(session, waiting))
    return settled


async def mend(session: Session) -> None:
    """Applies what waits for a name that is known meanwhile, where whoever was to do it died."""
    body = {
        "query": {"bool": {"filter": [{"exists": {"field": "id"}}, {"exists": {"field": "waiting"}}]}},
        "size": SLICE,
        "_source": ["waiting", "id"],
    }
    hits = (await session.search(session.keys, body))["hits"]["hits"]
    waiting = [notice for hit in hits for notice in hit["_source"]["waiting"]]
    await _apply(session, await _load(session, waiting))
    for hit in hits:
        await _update_name(session, hit["_id"], _nobody_waits)


async def _apply(session: Session, notices: dict[str, Notice]) -> set[str]:
    """Writes these notices, by the ids of their documents, into the records they are about; those that were about one of
    its recipients, now or before."""
    placed = await _find(session, notices)
    applied: set[str] = set()

    def tell(each: Found, at: int) -> bool:
        changed = False
        for id, mail in placed.items():
            if mail != each.message.id:
                continue
            if id in each.heard:
                applied.add(id)
            elif advance.hear(each.message, notices[id], at):
                applied.add(id)
                each.heard.append(id)
                changed = True
        del each.heard[:-REMEMBERED]
        return changed

    await change(session, sorted(set(placed.values())), tell)
    await session.bulk([_placed(session, id, placed[id]) for id in sorted(applied)])
    return applied


async def _find(session: Session, notices: dict[str, Notice]) -> dict[str, str]:
    """The ids of the mails that these are about, by the ids of the notices; those that wait for a name, wait then."""
    ours = {
        id: [name for name in (each.id, id_of(each.message_id or "")) if name] for id, each in notices.items()
    }
    known = {
        each.message.id for each in await read(session, [name for names in ours.values() for name in names])
    }
    placed: dict[str, str] = {}
    for id, notice in notices.items():
        mail = next((name for name in ours[id] if name in known), None)
        if mail is None and notice.provider_message_id is not None:
            mail = await _wait_for_name(session, notice.provider_message_id, id)
        if mail is not None:
            placed[id] = mail
    return placed


async def _wait_for_name(session: Session, name: str, notice: str) -> str | None:
    """The id of the mail of that name; else the notice waits for it."""

    def wait(source: dict[str, Any]) -> dict[str, Any]:
        if source.get("id") is not None:
            return source
        return source | {"waiting": sorted({*(source.get("waiting") or ()), notice})}

    return (await _update_name(session, key_id(PROVIDER, name), wait)).get("id")


async def _claim_name(session: Session, name: str, id: str) -> list[str]:
    """Gives a name that is known already to this mail; the notices that waited for it."""
    waited: list[str] = []

    def give(source: dict[str, Any]) -> dict[str, Any]:
        waited[:] = source.get("waiting") or ()
        return source | {"id": id, "waiting": None}

    await _update_name(session, key_id(PROVIDER, name), give)
    return waited


def _nobody_waits(source: dict[str, Any]) -> dict[str, Any]:
    return source | {"waiting": None}


async def _update_name(
    session: Session, id: str, decide: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Changes the document of a name, or makes it; as it then stands."""
    while True:
        document = (await session.get(session.keys, [id])).get(id)
        source: dict[str, Any] = {} if document is None else document["_source"]
        wanted: dict[str, Any] = {"fingerprint": "", "expiresAt": _end(session), **decide(source)}
        if wanted == source:
            return source
        seen = None if document is None else (document["_seq_no"], document["_primary_term"])
        action = "create" if document is None else "index"
        if (await session.bulk([Item(action, session.keys, id, msgspec.json.encode(wanted), seen)]))[0]:
            return wanted


def _name(session: Session, id: str) -> bytes:
    return msgspec.json.encode({"id": id, "fingerprint": "", "expiresAt": _end(session)})


def _end(session: Session) -> str:
    return text(until(session.clock.now(), NOTICE_SECONDS))


async def _load(session: Session, ids: Iterable[str]) -> dict[str, Notice]:
    documents = await session.get(session.notices, list(ids), "data")
    return {id: _NOTICE.decode(base64.b64decode(each["_source"]["data"])) for id, each in documents.items()}


def _kept(session: Session, id: str, notice: Notice) -> Item:
    body = {
        "receivedAt": time(session.clock.now()),
        "providerMessageId": notice.provider_message_id,
        "data": msgspec.msgpack.encode(notice),
    }
    return Item("create", session.notices, id, msgspec.json.encode(body))


def _placed(session: Session, id: str, mail: str) -> Item:
    return Item("update", session.notices, id, msgspec.json.encode({"doc": {"id": mail}}))


def _answers(notices: Sequence[Notice], new: set[str], applied: set[str]) -> list[Heard]:
    answers: list[Heard] = []
    left = set(new)
    for id in map(_id, notices):
        answers.append("repeated" if id not in left else "applied" if id in applied else "unknown")
        left.discard(id)
    return answers


def _id(notice: Notice) -> str:
    return key_id(notice.provider, notice.key)


def _names(settlement: Settlement) -> set[str]:
    decisions = [*settlement.decisions.values(), settlement.everyone]
    names = {decision.outcome.provider_message_id for decision in decisions if decision is not None}
    return {name for name in names if name is not None}
