"""The whole store at one moment, for an audit: a point in time of the indices, renewed with each slice that is read.

Elasticsearch keeps no counters: they are counted here, by aggregation. Several indices have no common moment, so what seems to
be kept for a record that is not there is looked for once more, as things stand now. A key whose record is not there is owed to
whoever repeats it (see save), and no stray; and so is content under a producer's name.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import msgspec

from posthouse.mail.lifecycle import STATES
from posthouse.store.elasticsearch.connection import Connections
from posthouse.store.elasticsearch.records import UNREAD, microseconds, moving, text, unpack
from posthouse.store.elasticsearch.session import Session
from posthouse.store.snapshot import Beside, Kept, KeptCampaign, Kind, Name, Roster, Snapshot, Stray
from posthouse.store.tally import state_counter

ALIVE = "5m"
"""How long a point in time is kept without a word."""
SLICE = 1000
TIMES = {"created": "createdAt", "sent": "sentAt", "failed": "failedAt"}

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def opened(connections: Connections) -> AsyncGenerator[Snapshot]:
    """The store as it is now, until the context ends."""
    points = await connections.call(_open)
    try:
        yield _ElasticsearchSnapshot(connections, points)
    finally:
        await connections.call(_close, points)


class _ElasticsearchSnapshot:
    """Snapshot (see store.snapshot) of points in time."""

    def __init__(self, connections: Connections, points: dict[str, str]) -> None:
        self._connections, self._points = connections, points

    async def walk(self, after: str | None, limit: int) -> list[Kept]:
        return await self._connections.call(_walk, self._points, after, limit)

    async def kinds(self) -> list[Kind]:
        return ["counter"]

    async def beside(self, kind: Kind, after: Name | None, limit: int) -> list[Beside]:
        return await self._connections.call(_counters, self._points, after, limit)

    async def campaigns(self, after: str | None, limit: int) -> list[KeptCampaign]:
        return []

    async def roster(self) -> Roster | None:
        return None

    async def strays(self, limit: int) -> list[Stray]:
        found: list[Stray] = []
        after: list[Any] | None = []
        while after is not None and len(found) < limit:
            ids, after = await self._connections.call(_owed, self._points, after)
            found += [Stray("content", id) for id in ids]
        return found[:limit]


async def _open(session: Session) -> dict[str, str]:
    indices = {"message": session.messages, "content": session.contents}
    points: dict[str, str] = {}
    for name, index in indices.items():
        await session.refresh(index)
        answer = await session.ask("POST", f"/{index}/_pit?keep_alive={ALIVE}")
        points[name] = answer["id"]
    return points


async def _close(session: Session, points: dict[str, str]) -> None:
    for id in points.values():
        await session.ask("DELETE", "/_pit", {"id": id}, expect=(404,))


async def _search(session: Session, id: str, body: dict[str, Any]) -> dict[str, Any]:
    point = {"pit": {"id": id, "keep_alive": ALIVE}, "track_total_hits": False}
    return await session.search("", body | point)


async def _walk(session: Session, points: dict[str, str], after: str | None, limit: int) -> list[Kept]:
    body: dict[str, Any] = {"size": limit, "sort": ["createdAt", "eventId"], "_source": {"excludes": UNREAD}}
    if after is not None:
        body["search_after"] = await _place(session, points, after)
    hits = (await _search(session, points["message"], body))["hits"]["hits"]
    there = await _present(session, points["content"], [hit["_id"] for hit in hits])
    return [_kept(hit["_source"], hit["_id"] in there) for hit in hits]


async def _place(session: Session, points: dict[str, str], id: str) -> list[Any]:
    body = {"query": {"ids": {"values": [id]}}, "_source": ["record"]}
    hits = (await _search(session, points["message"], body))["hits"]["hits"]
    return [text(unpack(hits[0]["_source"]).created_at), id]


async def _present(session: Session, point: str, ids: Sequence[str]) -> set[str]:
    """Those of these ids that have a document."""
    if not ids:
        return set()
    body = {"query": {"ids": {"values": list(ids)}}, "size": len(ids), "_source": False}
    return {hit["_id"] for hit in (await _search(session, point, body))["hits"]["hits"]}


def _kept(source: dict[str, Any], content: bool) -> Kept:
    message = unpack(source)
    times = {name: microseconds(source[field]) for name, field in _BESIDE_TIMES.items()}
    beside = {name: source[name] for name in _BESIDE} | times
    said = {"tags": list(message.tags), **msgspec.json.decode(moving(message, b"", []))}
    amiss = [name for name in said if name not in _OWN and source.get(name) != said[name]]
    return Kept(message, beside, content and source["body"] == "whole", amiss=amiss)


_OWN = ("record", "heard")
"""What no other program reads."""
_BESIDE = ("status", "state", "lane", "campaign", "owner", "losses", "error", "attempts", "uncertain")
_BESIDE_TIMES = {
    "created_at": "createdAt",
    "expires_at": "expiresAt",
    "due_at": "dueAt",
    "sent_at": "sentAt",
    "failed_at": "failedAt",
}


async def _counters(session: Session, points: dict[str, str], after: Name | None, limit: int) -> list[Beside]:
    """How many are in each state; then, series by series, how many in each quarter of an hour."""
    if after is None:
        return await _states(session, points)
    last, bucket = after
    series = list(TIMES)
    begun = last in series
    for name in series[series.index(str(last)) if begun else 0 :]:
        if found := await _quarters(session, points, name, int(bucket) if name == last else None, limit):
            return found
    return []


async def _states(session: Session, points: dict[str, str]) -> list[Beside]:
    body = {"size": 0, "aggs": {"states": {"terms": {"field": "state", "size": len(STATES)}}}}
    answer = await _search(session, points["message"], body)
    buckets = answer["aggregations"]["states"]["buckets"]
    return [((state_counter(bucket["key"]), 0), bucket["doc_count"]) for bucket in buckets]


async def _quarters(
    session: Session, points: dict[str, str], name: str, after: int | None, limit: int
) -> list[Beside]:
    quarter = {"date_histogram": {"field": TIMES[name], "fixed_interval": "15m", "format": "epoch_millis"}}
    composite: dict[str, Any] = {"size": limit, "sources": [{"quarter": quarter}]}
    if after is not None:
        composite["after"] = {"quarter": str(after // 1000)}
    body = {"size": 0, "aggs": {"quarters": {"composite": composite}}}
    answer = (await _search(session, points["message"], body))["aggregations"]["quarters"]
    return [((name, int(each["key"]["quarter"]) * 1000), each["doc_count"]) for each in answer["buckets"]]


async def _owed(
    session: Session, points: dict[str, str], after: list[Any]
) -> tuple[list[str], list[Any] | None]:
    """The records that a slice of the contents is kept for and that are not there; what to go on after."""
    named = {"exists": {"field": "fingerprint"}}
    body: dict[str, Any] = {
        "query": {"bool": {"must_not": named}},
        "size": SLICE,
        "sort": ["_shard_doc"],
        "_source": False,
    }
    if after:
        body["search_after"] = after
    hits = (await _search(session, points["content"], body))["hits"]["hits"]
    missing = {hit["_id"] for hit in hits}
    missing -= await _present(session, points["message"], sorted(missing))
    missing -= (await session.get(session.messages, sorted(missing), "status")).keys()
    return sorted(missing), hits[-1]["sort"] if hits else None
