"""Leases of a rate: one document for each name, counted on by compare-and-set."""

import hashlib
from typing import Any

import msgspec

from posthouse.mail.message import SECOND
from posthouse.rate import Leased, Rate, Window, take
from posthouse.store.elasticsearch.session import Item, Session


async def lease_rate(session: Session, name: str, wanted: int, rate: Rate) -> Leased:
    """See the port."""
    id = hashlib.sha256(name.encode()).hexdigest()
    while True:
        document = (await session.get(session.rates, [id])).get(id)
        known = None if document is None else Window(**_window(document["_source"]))
        window, leased = take(known, rate, wanted, session.clock.now() / SECOND)
        body = msgspec.json.encode({"start": window.start, "before": window.before, "count": window.now})
        seen = None if document is None else (document["_seq_no"], document["_primary_term"])
        action = "create" if document is None else "index"
        if leased.granted == 0 or (await session.bulk([Item(action, session.rates, id, body, seen)]))[0]:
            return leased


async def touch(session: Session) -> None:
    """Writes something: the store can."""
    body = msgspec.json.encode({"start": session.clock.now() / SECOND, "before": 0, "count": 0})
    await session.bulk([Item("index", session.rates, "ping", body)])


def _window(source: dict[str, Any]) -> dict[str, Any]:
    return {"start": source["start"], "before": source["before"], "now": source["count"]}
