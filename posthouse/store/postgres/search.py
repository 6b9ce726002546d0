"""Which records a filtered list shows: places (seq) found along the indexes, newest first, at a cost that is bounded.

Each filter has an index in which the places stand in order; it is compared and sorted by whole index rows, so that no
other index, and no sort, can serve it. Of several filters the one that is sparsest hereabouts is walked, and the others
are asked about each of its places, for STRIDE places at most; then the search gives up and says where to go on.
"""

from collections.abc import Sequence
from typing import NamedTuple

from posthouse.store.base import Query
from posthouse.store.postgres.connection import Connection

STRIDE = 2000
"""Places of the sparsest walk that are looked at in one search."""


class Walk(NamedTuple):
    """The rows of `table` whose `column` has this value."""

    table: str
    column: str
    value: str


class Found(NamedTuple):
    """Places, newest first; `stopped` is the place down to which was searched, if that was not to the end."""

    seqs: list[int]
    stopped: int | None = None


def walks(query: Query) -> list[Walk]:
    """The walk of each filter."""
    asked = (
        ("recipients", "email", query.recipient),
        ("tags", "tag", query.tag),
        ("messages", "campaign", query.campaign),
        ("messages", "status", query.status),
    )
    return [Walk(table, column, value) for table, column, value in asked if value is not None]


async def newest(connection: Connection, together: Sequence[Walk], low: int, high: int, most: int) -> Found:
    """The first `most` places in [low, high), from its top, that all walks pass."""
    if len(together) == 1:
        (only,) = together
        rows = await connection.fetch(f"{_along(only)} LIMIT $4", low, high, only.value, most)
        return Found([row["seq"] for row in rows])
    sparsest, stopped = await _sparsest(connection, together, low, high)
    others = [walk for walk in together if walk is not sparsest]
    checks = " AND ".join(_check(walk, f"${number}") for number, walk in enumerate(others, 5))
    rows = await connection.fetch(
        f"""SELECT seq FROM ({_along(sparsest)} LIMIT {STRIDE}) AS walked WHERE {checks}
          ORDER BY seq DESC LIMIT $4""",
        *(low, high, sparsest.value, most),
        *(walk.value for walk in others),
    )
    return Found([row["seq"] for row in rows], stopped if len(rows) < most else None)


async def _sparsest(
    connection: Connection, together: Sequence[Walk], low: int, high: int
) -> tuple[Walk, int | None]:
    """The walk that gets furthest down in STRIDE steps, and how far; None if that is to its end."""
    reached: list[tuple[int, Walk]] = []
    for walk in together:
        step = f"{_along(walk)} OFFSET {STRIDE - 1} LIMIT 1"
        place = await connection.fetchval(step, low, high, walk.value)
        if place is None:
            return walk, None
        reached.append((place, walk))
    place, walk = min(reached, key=lambda each: each[0])
    return walk, place


def _along(walk: Walk) -> str:
    """The places of a walk in [$1, $2), from the top; its value is $3."""
    table, column, _ = walk
    partial = " AND campaign <> ''" if column == "campaign" else ""
    return f"""SELECT seq FROM {table} WHERE ({column}, seq) >= ($3::text, $1::bigint)
      AND ({column}, seq) < ($3, $2::bigint){partial} ORDER BY {column} DESC, seq DESC"""


def _check(walk: Walk, value: str) -> str:
    """Whether a place is on a walk. Not by EXISTS, which may be planned as a hash of the whole walk."""
    table, column, _ = walk
    return f"""(SELECT true FROM {table} AS other WHERE other.seq = walked.seq AND other.{column} = {value}::text)"""
