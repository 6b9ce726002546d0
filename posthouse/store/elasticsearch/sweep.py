"""What Elasticsearch forgets, a slice a call: keys and names past their time, notices and windows too old to matter.

By a search and a bulk of deletions that name the version each was found in: what somebody took over meanwhile stays. (It is
what delete_by_query does, throttled, on a server that has that module or not.)
"""

from typing import Any

from posthouse.mail.message import SECOND
from posthouse.store.base import NOTICE_SECONDS
from posthouse.store.elasticsearch.records import text
from posthouse.store.elasticsearch.session import Item, Session

SLICE = 500
SILENT = 86_400
"""Seconds after whose beginning no window of a rate matters."""


async def sweep(session: Session) -> None:
    """See the port."""
    now = session.clock.now()
    await _forget(session, session.keys, {"expiresAt": {"lte": text(now)}})
    await _forget(session, session.notices, {"receivedAt": {"lte": text(now - NOTICE_SECONDS * SECOND)}})
    await _forget(session, session.rates, {"start": {"lt": now / SECOND - SILENT}})


async def _forget(session: Session, index: str, old: dict[str, Any]) -> None:
    body = {"query": {"range": old}, "size": SLICE, "_source": False, "seq_no_primary_term": True}
    hits = (await session.search(index, body))["hits"]["hits"]
    await session.bulk(
        [Item("delete", index, hit["_id"], None, (hit["_seq_no"], hit["_primary_term"])) for hit in hits]
    )
