"""Which records a list shows: places (seq) found along the indexes, newest first, at a cost that is bounded.

Each filter has an index in which the places stand in order. One filter is a walk along its own. Of several the one that
is sparsest hereabouts is walked, and the others are asked about each of its places. Two that are both dense and hardly
meet would make that long: so a search gives up after some thousand places, and says where the next one goes on.
"""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from posthouse.store.base import Query

STRIDES = (256, 1024, 2048)
"""How many places of the sparsest walk are looked at in turn: few at first, since most searches find enough."""

Connection = sqlite3.Connection


class Walk(NamedTuple):
    """An index and the value to be found in it; `source` names its rows x."""

    source: str
    value: Any


class Found(NamedTuple):
    """Places, newest first; `stopped` is the place down to which was searched, if that was not to the end."""

    seqs: list[int]
    stopped: int | None = None


_ALL = Walk("messages x WHERE ?", True)
_RECIPIENT = "recipients x WHERE x.email = ?"
_TAG = "tags x WHERE x.tag = ?"
_CAMPAIGN = "messages x INDEXED BY messages_campaign WHERE x.campaign <> '' AND x.campaign = ?"
_STATUS = "messages x INDEXED BY messages_status WHERE x.status = ?"


def walks(query: Query) -> list[Walk]:
    """The walk of each filter."""
    asked = (
        (_RECIPIENT, query.recipient),
        (_TAG, query.tag),
        (_CAMPAIGN, query.campaign),
        (_STATUS, query.status),
    )
    return [Walk(source, value) for source, value in asked if value is not None]


def newest(connection: Connection, together: Sequence[Walk], low: int, high: int, most: int) -> Found:
    """The first `most` places in [low, high), from its top, that all walks pass."""
    if len(together) < 2:
        return Found(_along(connection, together[0] if together else _ALL, (), low, high, most))
    seqs: list[int] = []
    for stride in STRIDES:
        sparsest, reach = _sparsest(connection, together, low, high, stride)
        others = [walk for walk in together if walk is not sparsest]
        bottom = low if reach is None else reach
        seqs += _along(connection, sparsest, others, bottom, high, most - len(seqs))
        if reach is None or len(seqs) == most:
            return Found(seqs)
        high = reach
    return Found(seqs, stopped=high)


def _sparsest(
    connection: Connection, together: Sequence[Walk], low: int, high: int, stride: int
) -> tuple[Walk, int | None]:
    """The walk that comes furthest down in `stride` steps, and to where; None where that is past its end."""
    ends: list[tuple[int, Walk]] = []
    for walk in together:
        query = f"SELECT x.seq FROM {walk.source} AND x.seq >= ? AND x.seq < ? ORDER BY x.seq DESC LIMIT ?, 1"
        row = connection.execute(query, (walk.value, low, high, stride - 1)).fetchone()
        if row is None:
            return walk, None
        ends.append((row[0], walk))
    reach, walk = min(ends, key=itemgetter(0))
    return walk, reach


def _along(
    connection: Connection, walk: Walk, others: Sequence[Walk], low: int, high: int, most: int
) -> list[int]:
    """The first `most` places of a walk in [low, high), from its top, that the others pass too."""
    step = f"SELECT x.seq AS place FROM {walk.source} AND x.seq >= ? AND x.seq < ?"
    passed = [f"EXISTS (SELECT 1 FROM {other.source} AND x.seq = place)" for other in others]
    query = f"{' AND '.join([step, *passed])} ORDER BY x.seq DESC LIMIT ?"
    rows = connection.execute(query, (walk.value, low, high, *(other.value for other in others), most))
    return [seq for (seq,) in rows]
