"""Which records a filtered list shows: places (seq) found along the indexes, newest first, at a cost that is bounded.

Each filter has an index in which the places stand in order: in one range, or in a few that are merged. It is compared and
sorted by whole index rows, so that no other index, and no sort of a range, can serve it. Of several filters the one that is
sparsest hereabouts is walked, and the others are asked about each of its places, for STRIDE places at most; then the
search gives up and says where to go on.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.msgpack import encode

from posthouse.mail.lifecycle import STATES, STATUS
from posthouse.mail.unsettled import UNSETTLED, Unsettled
from posthouse.store.base import Query
from posthouse.store.postgres.connection import Connection

STRIDE = 2000
"""Places of the sparsest walk that are looked at in one search."""


_UNSETTLED: dict[Unsettled, str] = {
    state: f"(CASE WHEN position('\\x{encode({'state': state}).hex()[2:]}'::bytea IN record) > 0 THEN '{state}' END)"
    for state in UNSETTLED
}
"""What the indexes of mail that is left for a person are made of: it must stand as there."""


class Walk(NamedTuple):
    """The rows of `table` whose `column` has this value; of a campaign those in any of `states`. `sparse`: the index of the
    column has only rows where it has one."""

    table: str
    column: str
    value: str
    states: Sequence[str] | None = None
    sparse: bool = False

    @property
    def values(self) -> list[Any]:
        """What its SQL takes."""
        return [self.value] if self.states is None else [self.value, list(self.states)]


class Found(NamedTuple):
    """Places, newest first; `stopped` is the place down to which was searched, if that was not to the end."""

    seqs: list[int]
    stopped: int | None = None


def walks(query: Query) -> list[Walk]:
    """The walk of each filter; that of a campaign goes by the states that were asked for."""
    of_campaign = (
        [] if query.campaign is None else [Walk("messages", "campaign", query.campaign, _states(query))]
    )
    asked = (
        ("recipients", "email", query.recipient),
        ("tags", "tag", query.tag),
        ("messages", "status", None if of_campaign else query.status),
    )
    left = query.unsettled
    unsettled = [] if left is None else [Walk("messages", _UNSETTLED[left], left, sparse=True)]
    return (
        of_campaign
        + unsettled
        + [Walk(table, column, value) for table, column, value in asked if value is not None]
    )


def _states(query: Query) -> list[str]:
    return [
        state for state in STATES if query.state in (None, state) and query.status in (None, STATUS[state])
    ]


async def newest(connection: Connection, together: Sequence[Walk], low: int, high: int, most: int) -> Found:
    """The first `most` places in [low, high), from its top, that all walks pass."""
    if len(together) == 1:
        (only,) = together
        rows = await connection.fetch(_along(only, "$3"), low, high, most, *only.values)
        return Found([row["seq"] for row in rows])
    sparsest, stopped = await _sparsest(connection, together, low, high)
    values, checks = sparsest.values, list[str]()
    for walk in (walk for walk in together if walk is not sparsest):
        checks.append(_check(walk, 4 + len(values)))
        values = values + walk.values
    rows = await connection.fetch(
        f"""SELECT seq FROM ({_along(sparsest, str(STRIDE))}) AS walked WHERE {" AND ".join(checks)}
          ORDER BY seq DESC LIMIT $3""",
        *(low, high, most, *values),
    )
    return Found([row["seq"] for row in rows], stopped if len(rows) < most else None)


async def _sparsest(
    connection: Connection, together: Sequence[Walk], low: int, high: int
) -> tuple[Walk, int | None]:
    """The walk that gets furthest down in STRIDE steps, and how far; None if that is to its end."""
    reached: list[tuple[int, Walk]] = []
    for walk in together:
        step = f"SELECT seq FROM ({_along(walk, '$3')}) AS walked OFFSET {STRIDE - 1}"
        place = await connection.fetchval(step, low, high, STRIDE, *walk.values)
        if place is None:
            return walk, None
        reached.append((place, walk))
    place, walk = min(reached, key=lambda each: each[0])
    return walk, place


def _along(walk: Walk, most: str) -> str:
    """The first so many places of a walk in [$1, $2), from the top; its values are $4 and $5."""
    if walk.states is None:
        there = f"{walk.column} IS NOT NULL AND " if walk.sparse else ""
        return f"""SELECT seq FROM {walk.table} WHERE {there}({walk.column}, seq) >= ($4::text, $1::bigint)
          AND ({walk.column}, seq) < ($4, $2::bigint) ORDER BY {walk.column} DESC, seq DESC LIMIT {most}"""
    return f"""SELECT seq FROM unnest($5::text[]) AS wanted CROSS JOIN LATERAL (
        SELECT seq FROM messages WHERE (campaign, state, seq) >= ($4::text, wanted, $1::bigint)
          AND (campaign, state, seq) < ($4, wanted, $2::bigint) AND campaign <> ''
        ORDER BY campaign DESC, state DESC, seq DESC LIMIT {most}) AS ranges
      ORDER BY seq DESC LIMIT {most}"""


def _check(walk: Walk, first: int) -> str:
    """Whether a place is on a walk, whose values are from this parameter on. Not by EXISTS, which may be planned as a hash
    of the whole walk."""
    among = "" if walk.states is None else f" AND other.state = ANY(${first + 1}::text[])"
    return f"""(SELECT true FROM {walk.table} AS other
      WHERE other.seq = walked.seq AND {walk.column} = ${first}::text{among})"""
