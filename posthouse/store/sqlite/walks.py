"""Which records a list shows: places (seq) found along the indexes, newest first, at a cost that is bounded.

Each filter has an index in which the places stand in order: in one range, or in a few that are merged. One filter is a
walk along its own. Of several the one that is sparsest hereabouts is walked, and the others are asked about each of its
places. Two that are both dense and hardly meet would make that long: so a search gives up after some thousand places, and
says where the next one goes on.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from posthouse.mail.lifecycle import STATES, STATUS
from posthouse.mail.unsettled import UNSETTLED, Unsettled
from posthouse.store.base import Query

STRIDES = (256, 1024, 2048)
"""How many places of the sparsest walk are looked at in turn: few at first, since most searches find enough."""

Connection = sqlite3.Connection


class Walk(NamedTuple):
    """Ranges of an index: each has one of `ranges` for its values; `source` names its rows x. `passed` and `values` ask
    whether a place is in any of them."""

    source: str
    ranges: Sequence[tuple[Any, ...]]
    passed: str
    values: tuple[Any, ...]


class Found(NamedTuple):
    """Places, newest first; `stopped` is the place down to which was searched, if that was not to the end."""

    seqs: list[int]
    stopped: int | None = None


_RECIPIENT = "recipients x WHERE x.email = ?"
_TAG = "tags x WHERE x.tag = ?"
_STATUS = "messages x INDEXED BY messages_status WHERE x.status = ?"
_CAMPAIGN = (
    "messages x INDEXED BY messages_campaign WHERE x.campaign <> '' AND x.campaign = ? AND x.state = ?"
)
_UNSETTLED: dict[Unsettled, str] = {
    state: f"""messages x INDEXED BY messages_{state} WHERE instr(x.record, '"state":"{state}"') > 0 AND ?"""
    for state in UNSETTLED
}
_OF_CAMPAIGN = "messages x WHERE x.campaign = ? AND x.state IN (SELECT value FROM json_each(?))"


def _walk(source: str, value: Any) -> Walk:
    return Walk(source, [(value,)], source, (value,))


_ALL = _walk("messages x WHERE ?", True)


def walks(query: Query) -> list[Walk]:
    """The walk of each filter; that of a campaign goes by the states that were asked for."""
    together = [] if query.campaign is None else [of_campaign(query.campaign, _states(query))]
    asked = (
        (_RECIPIENT, query.recipient),
        (_TAG, query.tag),
        (_STATUS, query.status if query.campaign is None else None),
    )
    if query.unsettled is not None:
        together.append(_walk(_UNSETTLED[query.unsettled], True))
    return together + [_walk(source, value) for source, value in asked if value is not None]


def of_campaign(campaign: str, states: Iterable[str]) -> Walk:
    """The messages of a campaign in these states."""
    ranges = [(campaign, state) for state in states]
    text = msgspec.json.encode([state for _, state in ranges]).decode()
    return Walk(_CAMPAIGN, ranges, _OF_CAMPAIGN, (campaign, text))


def _states(query: Query) -> list[str]:
    return [
        state for state in STATES if query.state in (None, state) and query.status in (None, STATUS[state])
    ]


def newest(connection: Connection, together: Sequence[Walk], low: int, high: int, most: int) -> Found:
    """The first `most` places in [low, high), from its top, that all walks pass."""
    if not all(walk.ranges for walk in together):
        return Found([])
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
        steps, values = _steps(walk, (), low, high)
        query = f"{steps} ORDER BY place DESC LIMIT ?, 1"
        row = connection.execute(query, (*values, stride - 1)).fetchone()
        if row is None:
            return walk, None
        ends.append((row[0], walk))
    reach, walk = min(ends, key=itemgetter(0))
    return walk, reach


def _along(
    connection: Connection, walk: Walk, others: Sequence[Walk], low: int, high: int, most: int
) -> list[int]:
    """The first `most` places of a walk in [low, high), from its top, that the others pass too."""
    steps, values = _steps(walk, others, low, high)
    rows = connection.execute(f"{steps} ORDER BY place DESC LIMIT ?", (*values, most))
    return [seq for (seq,) in rows]


def _steps(walk: Walk, others: Sequence[Walk], low: int, high: int) -> tuple[str, list[Any]]:
    """The places of each range of a walk, to be merged, and the values that this takes."""
    step = f"SELECT x.seq AS place FROM {walk.source} AND x.seq >= ? AND x.seq < ?"
    passed = [f"EXISTS (SELECT 1 FROM {other.passed} AND x.seq = place)" for other in others]
    asked = [value for other in others for value in other.values]
    values = [value for each in walk.ranges for value in (*each, low, high, *asked)]
    return " UNION ALL ".join([" AND ".join([step, *passed])] * len(walk.ranges)), values
