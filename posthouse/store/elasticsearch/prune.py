"""How mail is forgotten (DESIGN §3, mail.retention), a slice a call, by searches and bulks, off the hot path.

A body goes in three steps, each of which may be repeated: the record is marked as `going` under the version in which nothing of
it was open, and from then on is never tried again; the content is replaced by its head; the record is marked as `gone`. A
record goes after its body: its times are noted in `-gone`, so that totals never fall; its content and keys are deleted; and
it is deleted last, under its version. Whoever comes after a death in between finds it at the same place.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from posthouse.mail.message import SECOND, Message
from posthouse.mail.retention import head, may_go
from posthouse.store.content import decode, encode
from posthouse.store.elasticsearch.pages import whole
from posthouse.store.elasticsearch.records import RECORD, Found, found, text, time
from posthouse.store.elasticsearch.session import Item, Session

SLICE = 100
_GOING, _GONE = (
    msgspec.json.encode({"doc": {"body": word, "variables": None}}) for word in ("going", "gone")
)


async def prune_bodies(session: Session, seconds: float) -> list[str]:
    """Takes the bodies of closed mail that is older; whose."""
    before = session.clock.now() - round(seconds * SECOND)
    old = {"range": {"date": {"lt": text(before)}}}
    open_or_gone = [{"exists": {"field": "dueAt"}}, {"term": {"body": "gone"}}]
    query = {"bool": {"filter": [old], "must_not": open_or_gone}}
    candidates = await _search(session, query, ["date"])
    return await _behead(session, [each for each in candidates if may_go(each.message, before)])


async def prune_records(session: Session, seconds: float) -> list[str]:
    """Takes the oldest, up to one that is open or younger: their bodies first; whose."""
    before = session.clock.now() - round(seconds * SECOND)
    candidates = await _search(session, {"match_all": {}}, ["createdAt", "eventId"])
    kept = next((n for n, each in enumerate(candidates) if not may_go(each.message, before)), len(candidates))
    going = candidates[:kept]
    bodies = [each for each in going if each.whole]
    return await (_behead(session, bodies) if bodies else _remove(session, going))


async def _search(session: Session, query: dict[str, Any], order: list[str]) -> list[Found]:
    body = {
        "query": query,
        "sort": order,
        "size": SLICE,
        "_source": RECORD,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    hits = (await session.search(session.messages, body))["hits"]["hits"]
    return [found(hit) for hit in hits]


async def _behead(session: Session, records: Sequence[Found]) -> list[str]:
    """Takes the bodies of these records, unless they were changed since they were read; whose it took."""
    marks = [Item("update", session.messages, each.message.id, _GOING, each.seen) for each in records]
    marked = await session.bulk(marks)
    ids = [each.message.id for each, done in zip(records, marked, strict=True) if done]
    documents = await session.get(session.contents, ids)
    heads = [Item("index", session.contents, id, _head(each["_source"])) for id, each in documents.items()]
    await session.bulk(heads)
    await session.bulk([Item("update", session.messages, id, _GONE) for id in ids])
    return ids


def _head(source: dict[str, Any]) -> bytes:
    _, data = encode(head(decode(whole(source))))
    return msgspec.json.encode({"shown": data, "bare": True, "fingerprint": source.get("fingerprint")})


async def _remove(session: Session, records: Sequence[Found]) -> list[str]:
    """Deletes these records and all that is kept for them; which."""
    ids = [each.message.id for each in records]
    await session.bulk(
        [Item("index", session.gone, each.message.id, _times(each.message)) for each in records]
    )
    await session.bulk([Item("delete", session.contents, id) for id in ids])
    await _remove_keys(session, ids)
    removed = await session.bulk(
        [Item("delete", session.messages, each.message.id, None, each.seen) for each in records]
    )
    return [id for id, done in zip(ids, removed, strict=True) if done]


async def _remove_keys(session: Session, ids: Sequence[str]) -> None:
    """The callers' keys and the providers' names that lead to these records."""
    body = {"query": {"terms": {"id": list(ids)}}, "size": 10 * SLICE, "_source": False}
    if ids:
        hits = (await session.search(session.keys, body))["hits"]["hits"]
        await session.bulk([Item("delete", session.keys, hit["_id"]) for hit in hits])


def _times(message: Message) -> bytes:
    times = {"createdAt": message.created_at, "sentAt": message.sent_at, "failedAt": message.failed_at}
    return msgspec.json.encode({name: time(at) for name, at in times.items()})
