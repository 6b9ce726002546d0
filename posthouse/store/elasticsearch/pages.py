"""What is read from Elasticsearch: one record by its id, as it stands; lists, counts and totals by searches, which see all
that was written before they were asked.

Lists are in the order of (createdAt, eventId). A numbered page reaches ROWS rows and no further; a cursor, any.
"""

import base64
from collections.abc import Sequence
from typing import Any

from posthouse.mail.lifecycle import STATES
from posthouse.mail.message import LANES, SECOND, Content, Lane, Message
from posthouse.mail.retention import precedes
from posthouse.store.base import Listed, Overview, Page, PageTooFar, Query, Totals, UnknownCursor, Waiting
from posthouse.store.content import decode, listed
from posthouse.store.elasticsearch.change import FREE, IN_NO_CAMPAIGN, due, ready
from posthouse.store.elasticsearch.records import text, unpack
from posthouse.store.elasticsearch.session import Session

ROWS = 10_000
"""How many rows Elasticsearch counts off (index.max_result_window)."""
SLICE = 1000

RECORD_ONLY = ["record"]


async def get(session: Session, id: str) -> tuple[Message, Content | None] | None:
    """One record with its content."""
    document = (await session.get(session.messages, [id], "record")).get(id)
    if document is None:
        return None
    content = (await session.get(session.contents, [id])).get(id)
    return unpack(document["_source"]), None if content is None else decode(whole(content["_source"]))


async def contents(session: Session, ids: Sequence[str]) -> dict[str, Content]:
    """The contents of these ids whose bodies are still kept."""
    documents = await session.get(session.contents, ids)
    sources = {id: document["_source"] for id, document in documents.items()}
    return {id: decode(whole(source)) for id, source in sources.items() if not source.get("bare")}


async def held(session: Session, owner: str) -> list[Message]:
    """All that an owner holds."""
    messages: list[Message] = []
    body: dict[str, Any] = {
        "query": {"bool": {"filter": [{"term": {"owner": owner}}]}},
        "sort": ["createdAt", "eventId"],
        "size": SLICE,
        "_source": RECORD_ONLY,
        "track_total_hits": False,
    }
    while hits := (await session.search(session.messages, body))["hits"]["hits"]:
        messages += [unpack(hit["_source"]) for hit in hits]
        body["search_after"] = hits[-1]["sort"]
    return messages


async def totals(session: Session, since: int, until: int) -> Totals:
    """How many were created, sent, failed first within the span."""
    if since >= until:
        return Totals()
    names = {"created": "createdAt", "sent": "sentAt", "failed": "failedAt"}
    counts = {name: {"filter": _span(field, since, until)} for name, field in names.items()}
    indices = f"{session.messages},{session.gone}"
    answer = await session.search(indices, {"size": 0, "track_total_hits": False, "aggs": counts})
    return Totals(**{name: answer["aggregations"][name]["doc_count"] for name in names})


async def overview(session: Session) -> Overview:
    """Counts by state, and what waits in each lane."""
    waits = [due(session.clock.now()), FREE, IN_NO_CAMPAIGN]
    oldest = {"oldest": {"top_hits": {"size": 1, "sort": ["dueAt"], "_source": RECORD_ONLY}}}
    lanes = {
        lane: {"filter": {"bool": {"filter": [{"term": {"lane": lane}}, *waits]}}, "aggs": oldest}
        for lane in LANES
    }
    states = {"terms": {"field": "state", "size": len(STATES)}}
    body = {"size": 0, "track_total_hits": False, "aggs": {"states": states, **lanes}}
    answer = (await session.search(session.messages, body))["aggregations"]
    counts = {bucket["key"]: bucket["doc_count"] for bucket in answer["states"]["buckets"]}
    return Overview(
        {state: counts.get(state, 0) for state in STATES}, {lane: _waiting(answer[lane]) for lane in LANES}
    )


async def next_due(session: Session, lanes: Sequence[Lane]) -> float | None:
    """Seconds until the next message that `claim` would give is due."""
    at = session.clock.now()
    waits = {"bool": {"should": [{"bool": {"filter": ready(lane, at)}} for lane in lanes]}}
    body = {
        "query": {"bool": {"filter": [waits, {"exists": {"field": "dueAt"}}]}},
        "sort": ["dueAt"],
        "size": 1,
        "_source": RECORD_ONLY,
        "track_total_hits": False,
    }
    hits = (await session.search(session.messages, body))["hits"]["hits"]
    return None if not hits else max(0.0, ((unpack(hits[0]["_source"]).due_at or 0) - at) / SECOND)


async def page(session: Session, query: Query) -> Page:
    """See the port."""
    return await (_descending if query.page is None else _ascending)(session, query)


async def _ascending(session: Session, query: Query) -> Page:
    start = (max(query.page or 1, 1) - 1) * query.limit
    within = start + query.limit <= ROWS
    answer = await _list(session, [], "asc", query.limit if within else 0, {"from": start if within else 0})
    total = answer["hits"]["total"]["value"]
    if not within and start < total:
        raise PageTooFar(ROWS)
    return Page(await _items(session, answer["hits"]["hits"]), None, total)


async def _descending(session: Session, query: Query) -> Page:
    more: dict[str, Any] = {"track_total_hits": not query.filtered}
    if query.cursor is not None:
        more["search_after"] = await _place(session, query.cursor)
    answer = await _list(session, _filters(query), "desc", query.limit + 1, more)
    hits = answer["hits"]["hits"]
    items = await _items(session, hits[: query.limit])
    total = None if query.filtered else answer["hits"]["total"]["value"]
    return Page(items, items[-1].message.id if len(hits) > query.limit else None, total)


async def _list(
    session: Session, filters: list[dict[str, Any]], order: str, size: int, more: dict[str, Any]
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "query": {"bool": {"filter": filters}},
        "sort": [{"createdAt": order}, {"eventId": order}],
        "size": size,
        "_source": RECORD_ONLY,
        "track_total_hits": True,
    }
    return await session.search(session.messages, body | more)


async def _place(session: Session, cursor: str) -> list[Any]:
    """What a list goes on after."""
    document = (await session.get(session.messages, [cursor], "record")).get(cursor)
    if document is None:
        return await _place_of_gone(session, cursor)
    return [text(unpack(document["_source"]).created_at), cursor]


async def _place_of_gone(session: Session, cursor: str) -> list[Any]:
    """The end of the list, where the cursor can have stood before the oldest record that is kept."""
    hits = (await _list(session, [], "asc", 1, {"track_total_hits": False}))["hits"]["hits"]
    oldest = unpack(hits[0]["_source"]).created_at if hits else None
    if not precedes(cursor, oldest):
        raise UnknownCursor
    return [text(0), ""]


def _filters(query: Query) -> list[dict[str, Any]]:
    terms = {
        "status": query.status,
        "state": query.state,
        "recipients.email": query.recipient,
        "campaign": query.campaign,
        "tags": query.tag,
        "recipients.state": query.unsettled,
    }
    filters: list[dict[str, Any]] = [
        {"term": {field: value}} for field, value in terms.items() if value is not None
    ]
    if query.since is not None or query.until is not None:
        filters.append(_span("createdAt", query.since, query.until))
    return filters


def _span(field: str, since: int | None, until: int | None) -> dict[str, Any]:
    given = {"gte": since, "lt": until}
    return {"range": {field: {name: text(at) for name, at in given.items() if at is not None}}}


async def _items(session: Session, hits: Sequence[dict[str, Any]]) -> list[Listed]:
    """Records as the search saw them, with as much of their contents as a list shows."""
    shown = await session.get(session.contents, [hit["_id"] for hit in hits], "shown")
    return [
        listed(
            unpack(hit["_source"]),
            _bytes(shown[hit["_id"]]["_source"]["shown"]) if hit["_id"] in shown else None,
        )
        for hit in hits
    ]


def _waiting(answer: dict[str, Any]) -> Waiting:
    hits = answer["oldest"]["hits"]["hits"]
    return Waiting(answer["doc_count"], unpack(hits[0]["_source"]).due_at if hits else None)


def whole(source: dict[str, Any]) -> bytes:
    """All that is kept of a content."""
    return _bytes(source.get("data") or source["shown"])


def _bytes(encoded: str) -> bytes:
    return base64.b64decode(encoded)
