"""The indices, their strict mappings, and what the server must be before we trust it with mail.

`index` has one document for each mail, by its id: the record (MessagePack, the truth) and, beside it, what is searched for and
what other programs read (DESIGN §6). `-contents` has what the mail says, written once, under a producer's name with its fingerprint; `-keys` the callers' keys and the
providers' names for our mail; `-notices` what providers told; `-rates` the windows of limits; `-gone` the times of records
that are kept no longer.
"""

import secrets
from typing import Any

from posthouse.store.base import StoreUnfit
from posthouse.store.elasticsearch.session import Session
from posthouse.store.migrate import SchemaMismatch

VERSION = 2
"""Of the mappings."""
MAJOR = 8
"""Of the server, and of the client: they must be the same."""

_WORD: dict[str, Any] = {"type": "keyword"}
_NUMBER: dict[str, Any] = {"type": "integer"}
_SUM: dict[str, Any] = {"type": "integer", "index": False}
"""For aggregations only: what a write costs is what is indexed."""
_LONG: dict[str, Any] = {"type": "long", "index": False}
_TIME: dict[str, Any] = {"type": "date_nanos", "format": "strict_date_optional_time_nanos"}
_KEPT: dict[str, Any] = {"type": "keyword", "index": False, "doc_values": False}
_UNSEARCHED: dict[str, Any] = {"type": "integer", "index": False, "doc_values": False}
_BYTES: dict[str, Any] = {"type": "binary"}
_FREE: dict[str, Any] = {"type": "object", "enabled": False}

MESSAGES: dict[str, Any] = {
    "record": _BYTES,
    "heard": _KEPT,
    "eventId": _WORD,
    "recipient": _KEPT,
    "sender": _WORD,
    "subject": _KEPT,
    "template": _WORD,
    "category": _WORD,
    "variables": _FREE,
    "status": _WORD,
    "state": _WORD,
    "lane": _WORD,
    "campaign": _WORD,
    "tags": _WORD,
    "owner": _WORD,
    "losses": _NUMBER,
    "error": _KEPT,
    "attempts": _SUM,
    "uncertain": _SUM,
    "provider": _WORD,
    "providerMessageId": _WORD,
    "body": _WORD,
    "date": _TIME,
    "createdAt": _TIME,
    "expiresAt": _TIME,
    "sentAt": _TIME,
    "failedAt": _TIME,
    "dueAt": _TIME,
    "metrics": {
        "dynamic": "strict",
        "properties": dict.fromkeys(("queuedMs", "renderMs", "deliveryMs", "totalMs"), _LONG),
    },
    "recipients": {
        "dynamic": "strict",
        "properties": {
            "email": _WORD,
            "kind": _KEPT,
            "state": _WORD,
            "attempts": _UNSEARCHED,
            "uncertain": _UNSEARCHED,
            "code": _SUM,
            "enhancedCode": _KEPT,
            "error": _KEPT,
            "at": _KEPT,
        },
    },
    "history": _FREE,
}
_PRINT: dict[str, Any] = {"type": "keyword", "index": False}
CONTENTS: dict[str, Any] = {
    "shown": _BYTES,
    "data": _BYTES,
    "bare": {"type": "boolean"},
    "fingerprint": _PRINT,
}
KEYS: dict[str, Any] = {"id": _WORD, "fingerprint": _BYTES, "expiresAt": _TIME, "waiting": _WORD}
NOTICES: dict[str, Any] = {"id": _WORD, "providerMessageId": _WORD, "receivedAt": _TIME, "data": _BYTES}
GONE: dict[str, Any] = {"createdAt": _TIME, "sentAt": _TIME, "failedAt": _TIME}
RATES: dict[str, Any] = {"start": {"type": "double"}, "before": _LONG, "count": _LONG}


async def missing(session: Session) -> list[list[str]]:
    """The indices that are to be made, in two steps: the first one last, since it says that all are there."""
    there = {index for index in session.indices if await session.ask("GET", f"/{index}", expect=(404,))}
    first, *others = session.indices
    return [[index for index in step if index not in there] for step in (others, [first])]


async def make(session: Session, index: str) -> None:
    """Makes one of them, unless somebody else was quicker."""
    properties = dict(zip(session.indices, (MESSAGES, CONTENTS, KEYS, NOTICES, RATES, GONE), strict=True))[
        index
    ]
    made = await session.ask("PUT", f"/{index}", _index(session, index, properties), expect=(400,))
    if made is None and await session.ask("GET", f"/{index}", expect=(404,)) is None:
        raise StoreUnfit(f"Elasticsearch does not take the mapping of the index {index}")


async def require(session: Session) -> str:
    """The identity of the store. Raises SchemaMismatch, saying what to do, and StoreUnfit."""
    await _require_fit(session)
    found = await session.ask("GET", f"/{session.messages}", expect=(404,))
    if found is None:
        raise SchemaMismatch(f"there is no index {session.messages}: run `posthouse migrate`")
    ((_, index),) = found.items()
    meta = index["mappings"].get("_meta", {})
    if meta.get("schema") != VERSION:
        raise SchemaMismatch(
            f"the index {session.messages} is not of this version of Posthouse: run the one that made it"
        )
    if index["settings"]["index"].get("translog", {}).get("durability", "request") != "request":
        raise StoreUnfit(
            f"the index {session.messages} has translog.durability = async: a crash would lose accepted mail"
        )
    return str(meta["identity"])


async def _require_fit(session: Session) -> None:
    answer = await session.ask("GET", "/_nodes/_master?filter_path=nodes.*.version")
    for node in answer["nodes"].values():
        if node["version"].split(".")[0] != str(MAJOR):
            raise StoreUnfit(f"Elasticsearch {node['version']} is not supported: {MAJOR}.19 is needed")


def _index(session: Session, index: str, properties: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        # Our searches refresh first. Who else searches, searches for messages; the rest is read by id.
        "refresh_interval": "5s" if index == session.messages else "-1",
        # A record is written three times in a second or two: what is merged at once is mostly dead soon after.
        "merge.policy.segments_per_tier": 20,
        "merge.policy.max_merge_at_once": 20,
    }
    if index == session.rates:  # a server that crashes begins the windows anew
        settings["translog.durability"] = "async"
    mappings: dict[str, Any] = {"dynamic": "strict", "properties": properties}
    if index == session.messages:
        mappings["_meta"] = {"schema": VERSION, "identity": secrets.token_hex(16)}
    return {"settings": {"index": settings}, "mappings": mappings}
